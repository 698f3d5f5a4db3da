//! Groups: who is in them, and how that changes. A change is a wish in the outbox first ([`wish`]), durable like a message;
//! when its turn comes it becomes one commit of the epoch of that moment ([`deliver`]).

mod deliver;
mod notice;
mod wish;

pub(crate) use deliver::is_leave;
pub(crate) use notice::At;
pub use notice::Notice;
pub use wish::Obstacle;

use crate::client::Client;
use crate::content::{Body, Content};
use crate::database::contact;
use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind};
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use trust::{GroupPolicy, Kind};
use wire::{ConversationId, DeviceId, MessageId, UnixMillis, UserId};
use wish::Situation;
pub(crate) use wish::{Claim, Wish};

/// The longest name of a conversation, in characters.
const NAME_MAX_CHARS: usize = 100;

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub user: UserId,
    /// The handle, or the id if it is not known.
    pub handle: String,
    /// Whether the member may add, remove and promote others.
    pub admin: bool,
    /// The devices that read along.
    pub devices: Vec<DeviceId>,
}

impl Client {
    /// A new group of this person, who is its admin, and these people. Messages can be sent at once. Who cannot be added
    /// now is told ([`Event::NotAdded`]) and can be added later.
    ///
    /// # Errors
    /// [`Error::UnknownContact`] before a person was looked up, [`Error::InvalidName`], [`Error::NotJoined`],
    /// [`Error::Database`].
    pub fn start_group(&mut self, name: &str, users: &[UserId], now: UnixMillis) -> Result<ConversationId, Error> {
        let name = checked_name(name)?;
        self.account()?;
        self.turn(now, |turn| {
            let id = ConversationId::from_bytes(turn.entropy.array());
            let row = ConversationRow {
                name: Some(name.clone()),
                ..ConversationRow::new(id, Kind::Group, ConversationState::Creating)
            };
            conversation::save(turn.db, &row)?;
            let account = turn.account()?;
            let row = turn.create_group(row, &GroupPolicy::group(account.tenant, id, account.user))?;
            conversation::save(turn.db, &row)?;
            turn.add_siblings(&row)?;
            let users: Vec<UserId> = users.iter().copied().filter(|user| *user != account.user).collect();
            let wish = Wish::Add { claims: turn.claims(&users)?, announce: false };
            turn.wish(id, &wish)?;
            turn.enqueue(id, &Content::new(Body::Name(name), now))?;
            turn.tell(Event::ConversationAdded(id));
            Ok(id)
        })
    }

    /// Adds every device of these people, when this is possible. Its outcome is an event: [`Event::GroupChanged`] or
    /// [`Event::GroupUnchanged`] with the id that is returned.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::NotGroup`], [`Error::NotMember`], [`Error::UnknownContact`],
    /// [`Error::Membership`].
    pub fn add_members(
        &mut self,
        conversation: ConversationId,
        users: &[UserId],
        now: UnixMillis,
    ) -> Result<MessageId, Error> {
        self.account()?;
        self.turn(now, |turn| {
            let wish = Wish::Add { claims: turn.claims(users)?, announce: true };
            turn.wish(conversation, &wish)
        })
    }

    /// Removes every device of these people. They read nothing of what is said from then on.
    ///
    /// # Errors
    /// As [`Client::add_members`].
    pub fn remove_members(
        &mut self,
        conversation: ConversationId,
        users: &[UserId],
        now: UnixMillis,
    ) -> Result<MessageId, Error> {
        self.account()?;
        self.turn(now, |turn| turn.wish(conversation, &Wish::Remove { users: users.to_vec() }))
    }

    /// Makes a member an admin, or no longer. The last admin stays one.
    ///
    /// # Errors
    /// As [`Client::add_members`].
    pub fn set_admin(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        admin: bool,
        now: UnixMillis,
    ) -> Result<MessageId, Error> {
        self.account()?;
        self.turn(now, |turn| turn.wish(conversation, &Wish::Admin { user, admin }))
    }

    /// Leaves a group: messages cannot be sent any more, and another member's next commit removes this device. The
    /// person's other devices are removed before. Who is alone in it forgets it. That takes several commits, each with an
    /// id of its own: [`Event::ConversationChanged`] tells of the end, [`Event::GroupUnchanged`] that it cannot be.
    ///
    /// # Errors
    /// As [`Client::add_members`]; [`Obstacle::LastAdmin`] for the only admin among others.
    pub fn leave_group(&mut self, conversation: ConversationId, now: UnixMillis) -> Result<(), Error> {
        self.account()?;
        self.turn(now, |turn| turn.wish(conversation, &Wish::Leave).map(drop))
    }

    /// Names a group: a message, which any member may send.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::NotGroup`], [`Error::UnknownConversation`], [`Error::NotMember`].
    pub fn rename(&mut self, conversation: ConversationId, name: &str, now: UnixMillis) -> Result<MessageId, Error> {
        let name = checked_name(name)?;
        self.account()?;
        self.turn(now, |turn| {
            turn.group_row(conversation)?;
            turn.enqueue(conversation, &Content::new(Body::Name(name), now))
        })
    }

    /// Who is in a conversation, by handle, as its MLS group says. Empty when this device is not, or not yet, in it.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::NotJoined`], [`Error::Database`].
    pub fn members(&mut self, conversation: ConversationId, now: UnixMillis) -> Result<Vec<MemberView>, Error> {
        self.account()?;
        self.turn(now, |turn| turn.member_views(conversation))
    }
}

impl Turn<'_> {
    /// Puts a wish into the outbox, unless it cannot be fulfilled as things stand.
    pub(crate) fn wish(&mut self, id: ConversationId, wish: &Wish) -> Result<MessageId, Error> {
        let row = self.group_row(id)?;
        if let Some(situation) = self.situation(&row)? {
            wish.plan(&situation)?;
        }
        let key = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, id, OutboxKind::Wish, key, Some(&wire::encode(wish)), None)?;
        self.memory.attention.insert(id);
        Ok(key)
    }

    /// A group of which this device is a member.
    fn group_row(&self, id: ConversationId) -> Result<ConversationRow, Error> {
        let row = self.conversation(id)?;
        match (row.kind, row.state) {
            (Kind::Direct, _) => Err(Error::NotGroup),
            (_, ConversationState::Left) => Err(Error::NotMember),
            _ => Ok(row),
        }
    }

    fn claims(&mut self, users: &[UserId]) -> Result<Vec<Claim>, Error> {
        let mut claims: Vec<Claim> = Vec::new();
        for user in users {
            contact::find(self.db, *user)?.ok_or(Error::UnknownContact)?;
            if claims.iter().all(|claim| claim.user != *user) {
                claims.push(Claim { user: *user, key: self.entropy.array(), packages: None });
            }
        }
        Ok(claims)
    }

    /// The group as a wish meets it; `None` without a group.
    fn situation(&mut self, row: &ConversationRow) -> Result<Option<Situation>, Error> {
        let account = self.account()?;
        self.peek(row, |group| {
            let members = group.members()?.into_iter().map(|leaf| leaf.identity).collect();
            Ok(Situation { members, policy: group.policy().clone(), own: account.user, device: account.device })
        })
    }

    fn member_views(&mut self, id: ConversationId) -> Result<Vec<MemberView>, Error> {
        let row = self.conversation(id)?;
        let Some(Situation { members, policy, .. }) = self.situation(&row)? else { return Ok(Vec::new()) };
        let mut views: Vec<MemberView> = Vec::new();
        for leaf in members {
            if let Some(view) = views.iter_mut().find(|view| view.user == leaf.user) {
                view.devices.push(leaf.device);
                continue;
            }
            let handle = contact::find(self.db, leaf.user)?.map_or_else(|| leaf.user.to_string(), |row| row.handle);
            let admin = policy.admins.contains(&leaf.user);
            views.push(MemberView { user: leaf.user, handle, admin, devices: vec![leaf.device] });
        }
        views.sort_by(|one, other| one.handle.cmp(&other.handle));
        Ok(views)
    }
}

fn checked_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= NAME_MAX_CHARS && !name.starts_with('@');
    if fits && !name.chars().any(char::is_control) { Ok(name.into()) } else { Err(Error::InvalidName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_typed_and_is_not_a_persons() {
        assert_eq!(checked_name(" Team 北京 ").unwrap(), "Team 北京");
        for name in ["", "  ", "@bob", "a\nb", &"x".repeat(101)] {
            assert!(matches!(checked_name(name), Err(Error::InvalidName)), "{name:?}");
        }
    }
}
