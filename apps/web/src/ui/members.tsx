// Who is in a conversation, and what an admin may do about it.

import { useState, type FormEvent } from "react";
import { Button, Form } from "react-aria-components";
import type { Conversation } from "../core/wasm/mifeng_wasm";
import { handles } from "../text";
import { say } from "../words";
import { isOfList, session, useAnswer, useDo } from "./client";
import { findPeople, type SheetProps } from "./dialogs";
import { Avatar, Field, Sheet } from "./parts";

interface MembersProps extends SheetProps {
  conversation: Conversation;
  own: string;
}

export function Members({ isOpen, onClose, ...rest }: MembersProps) {
  return (
    <Sheet title={say("members")} isOpen={isOpen} onClose={onClose}>
      <MemberList {...rest} onClose={onClose} />
    </Sheet>
  );
}

function MemberList({ conversation: { id, group }, own, onClose }: Omit<MembersProps, "isOpen">) {
  const [members, again] = useAnswer((event) => isOfList(event) && "conversation" in event && event.conversation === id, "members", id);
  const [wrong, setWrong] = useState<string>();
  const [name, setName] = useState("");
  const perform = useDo();
  const mayChange = group && (members?.some((member) => member.user === own && member.admin) ?? false);
  const add = async (event: FormEvent) => {
    event.preventDefault();
    setWrong(undefined);
    try {
      await session.call("addMembers", id, await findPeople(handles(name)));
      setName("");
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <>
      <ul className="members">
        {members?.map(({ user, handle, admin, devices }) => (
          <li key={user}>
            <Avatar name={handle} />
            <span className="words">
              <span className="title">@{handle}{user === own && ` (${say("you")})`}</span>
              <span className="dim">{say("devices", { count: String(devices) })}{admin && ` · ${say("admin")}`}</span>
            </span>
            {mayChange && user !== own && (
              <>
                <Button className="quiet" aria-label={`${say(admin ? "demote" : "promote")}: @${handle}`} onPress={() => void perform("setAdmin", id, user, !admin).then(again)}>
                  {say(admin ? "demote" : "promote")}
                </Button>
                <Button className="quiet danger" aria-label={`${say("remove")}: @${handle}`} onPress={() => void perform("removeMember", id, user).then(again)}>
                  {say("remove")}
                </Button>
              </>
            )}
          </li>
        ))}
      </ul>
      {mayChange && (
        <Form onSubmit={(event) => void add(event)}>
          <Field label={say("addPeople")} value={name} onChange={setName} isRequired autoComplete="off" />
          {wrong !== undefined && <p className="wrong" role="alert">{wrong}</p>}
          <Button type="submit" className="primary">{say("add")}</Button>
        </Form>
      )}
      {group && <Button className="quiet danger" onPress={() => void perform("leave", id).then(onClose)}>{say("leave")}</Button>}
    </>
  );
}
