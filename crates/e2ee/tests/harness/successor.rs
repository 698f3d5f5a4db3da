//! Groups that are to take the place of another one, honest and forged, for the clients and for the server.

use super::{Phone, Recorded, World, aad, group, invitation, now};
use e2ee::{Changed, Created, Error, Group, Joined, KeyPackageUse, Proposed, Succession, Suite, Vouched};
use trust::{GroupPolicy, LeafIdentity, SuccessionViolation, WhoMayAdd};
use wire::{DeviceId, GroupId, UserId};

pub const NEXT: GroupId = GroupId::from_bytes([0x9a; 16]);

/// A group of Alice, who is its admin, Bob, and Carol with two devices; and what the server has seen of it.
pub struct Scene {
    pub world: World,
    pub alice: Phone,
    pub bob: Phone,
    pub carol: Phone,
    pub tablet: Phone,
    pub created: Created,
    pub added: Recorded,
}

/// What the server is handed.
pub struct Made {
    pub maker: LeafIdentity,
    pub succession: Succession,
}

impl Scene {
    pub fn new(suite: Suite) -> Self {
        let world = World::new(suite);
        let [alice, bob, carol] = [b'a', b'b', b'c'].map(|name| world.phone(name, 1));
        let tablet = world.phone(b'c', 2);
        let created = world.create(&alice, &group());
        let added = world.add(&alice, &[&bob, &carol, &tablet]).unwrap();
        for phone in [&bob, &carol, &tablet] {
            phone.join(&world, &added).unwrap();
        }
        Self { world, alice, bob, carol, tablet, created, added }
    }

    pub fn policy(&self) -> GroupPolicy {
        self.alice.group().policy().successor(super::GROUP)
    }

    /// As a client makes it.
    pub fn succeed(&self, maker: &Phone, suite: Suite, add: &[&Phone]) -> Result<Made, Error> {
        let add: Vec<_> = add.iter().map(|phone| phone.key_package(suite, KeyPackageUse::Once)).collect();
        let (vouch, aad) = (self.world.vouch(), aad(self.world.message_id()));
        let made = maker.group().succeed(&maker.device(), suite, NEXT, &add, &aad, now(), &vouch)?;
        maker.disk.apply(&made.writes);
        Ok(Made { maker: maker.identity, succession: made.output })
    }

    /// As anybody can make it who does not ask.
    pub fn forge(&self, maker: &Phone, suite: Suite, policy: &GroupPolicy, add: &[&Phone]) -> Made {
        let add: Vec<_> = add.iter().map(|phone| phone.key_package(suite, KeyPackageUse::Once)).collect();
        let (vouch, aad) = (self.world.vouch(), aad(self.world.message_id()));
        let keep = |writes: &e2ee::WriteSet| maker.disk.apply(writes);
        let created = maker.device().create(suite, NEXT, policy, now()).unwrap();
        keep(&created.writes);
        let proposed = Proposed { add, ..Proposed::default() };
        let group = Group::load(&maker.device(), NEXT).unwrap().unwrap();
        let Changed { output: first, writes, group } =
            group.commit(&maker.device(), &proposed, &aad, now(), &vouch).unwrap();
        keep(&writes);
        let merged = group.unwrap().merge_pending(&maker.device()).unwrap();
        keep(&merged.writes);
        let tree = merged.group.unwrap().tree().unwrap();
        let succession = Succession { group_info: first.group_info, tree, welcome: first.welcome };
        Made { maker: maker.identity, succession }
    }

    /// `phone` follows it, as its log entry says.
    pub fn follow(&self, phone: &Phone, made: &Made) -> Result<Joined, Error> {
        self.follow_as(phone, made, NEXT, made.maker.device)
    }

    pub fn follow_as(&self, phone: &Phone, made: &Made, next: GroupId, maker: DeviceId) -> Result<Joined, Error> {
        let vouch = self.world.vouch();
        let welcome = made.succession.welcome.as_deref().unwrap();
        let invitation = invitation(1, welcome, &made.succession.tree);
        let followed = phone.device().follow(phone.group(), next, maker, &invitation, &vouch)?;
        phone.disk.apply(&followed.writes);
        Ok(followed.output)
    }
}

/// Says whether a successor, by name, came to what it should: followed, or refused for this.
type Judge<'a> = dyn Fn(&Scene, &Made, &str, Option<SuccessionViolation>) + 'a;

/// Every kind of successor, judged.
pub fn run(judge: &Judge<'_>) {
    use SuccessionViolation::{LeftOut, Maker, Newcomer, Policy, Suite as Weaker};
    honest(judge);
    type Change = fn(&mut GroupPolicy);
    let changes: [(&str, Change); 6] = [
        ("everybody may add", |policy| policy.who_may_add = WhoMayAdd::Members),
        ("another admin", |policy| policy.admins = vec![UserId::from_bytes([b'b'; 16])]),
        ("a further admin", |policy| policy.admins.push(UserId::from_bytes([b'b'; 16]))),
        ("another place in the chain", |policy| policy.ordinal += 1),
        ("of another group", |policy| policy.predecessor = Some(GroupId::from_bytes([7; 16]))),
        ("of another conversation", |policy| policy.conversation = wire::ConversationId::from_bytes([7; 16])),
    ];
    for (name, change) in changes {
        let scene = Scene::new(Suite::Classical);
        let mut policy = scene.policy();
        change(&mut policy);
        // Who makes it is an admin in it: nothing else would let them add the others.
        let is_alice = policy.admins.contains(&scene.alice.identity.user);
        let (maker, other) = if is_alice { (&scene.alice, &scene.bob) } else { (&scene.bob, &scene.alice) };
        let made = scene.forge(maker, Suite::Classical, &policy, &[other, &scene.carol, &scene.tablet]);
        judge(&scene, &made, name, Some(Policy));
    }
    let scene = Scene::new(Suite::XWing);
    let all = [&scene.bob, &scene.carol, &scene.tablet];
    let made = scene.forge(&scene.alice, Suite::Classical, &scene.policy(), &all);
    judge(&scene, &made, "of a weaker suite", Some(Weaker));

    let scene = Scene::new(Suite::Classical);
    let dave = scene.world.phone(b'd', 1);
    let made =
        scene.forge(&scene.alice, Suite::Classical, &scene.policy(), &[&scene.bob, &scene.carol, &scene.tablet, &dave]);
    judge(&scene, &made, "with a newcomer", Some(Newcomer));

    let scene = Scene::new(Suite::Classical);
    let made = scene.forge(&scene.alice, Suite::Classical, &scene.policy(), &[&scene.bob]);
    judge(&scene, &made, "without Carol", Some(LeftOut));

    let scene = Scene::new(Suite::Classical);
    // A further device of the admin, which her chain certifies, and which is in no group.
    let stranger = scene.world.phone(b'a', 9);
    let all = [&scene.alice, &scene.bob, &scene.carol, &scene.tablet];
    let made = scene.forge(&stranger, Suite::Classical, &scene.policy(), &all);
    judge(&scene, &made, "by who is no member", Some(Maker));
}

fn honest(judge: &Judge<'_>) {
    let scene = Scene::new(Suite::Classical);
    let made = scene.succeed(&scene.bob, Suite::Classical, &[&scene.alice, &scene.carol, &scene.tablet]).unwrap();
    judge(&scene, &made, "by a member", None);

    let scene = Scene::new(Suite::Classical);
    let made = scene.succeed(&scene.alice, Suite::XWing, &[&scene.bob, &scene.carol, &scene.tablet]).unwrap();
    judge(&scene, &made, "of a stronger suite", None);

    let scene = Scene::new(Suite::Classical);
    let made = scene.succeed(&scene.alice, Suite::Classical, &[&scene.bob, &scene.carol]).unwrap();
    judge(&scene, &made, "without one of Carol's devices", None);

    let scene = Scene::new(Suite::Classical);
    for phone in [&scene.carol, &scene.tablet] {
        scene.world.certify(&phone.identity, phone.key.public(), Vouched::Gone);
    }
    let made = scene.succeed(&scene.alice, Suite::Classical, &[&scene.bob]).unwrap();
    judge(&scene, &made, "without Carol, who has left", None);
}

impl Scene {
    /// Alice, or Bob if she made it.
    pub fn follower(&self, maker: DeviceId) -> &Phone {
        if maker == self.alice.identity.device { &self.bob } else { &self.alice }
    }
}
