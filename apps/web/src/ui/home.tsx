// Behind the door: the list of conversations and one of them. Which one, the address says, so that a tab opens where it
// was and "back" goes back.

import { useEffect, useState, useSyncExternalStore } from "react";
import { Button, GridList, GridListItem, Input, Label, Menu, MenuItem, MenuTrigger, Popover, SearchField } from "react-aria-components";
import type { Account, Conversation, Status } from "../core/wasm/mifeng_wasm";
import { language, say } from "../words";
import { isOfList, useAnswer } from "./client";
import { Chat } from "./chat";
import { About, LinkDevice, NewConversation } from "./dialogs";
import { lineSummary } from "./line";
import { Devices, Settings } from "./own";
import { Avatar, Icon } from "./parts";
import { Findings } from "./search";

interface HomeProps {
  status: Status;
  account: Account;
}

export function Home({ status, account }: HomeProps) {
  const [conversations, again] = useAnswer(isOfList, "conversations");
  const { chosen, at } = useChosen();
  const open = conversations?.find((conversation) => conversation.id === chosen);
  const loud = conversations?.reduce((sum, conversation) => sum + conversation.loud, 0) ?? 0;
  useEffect(() => {
    document.title = loud > 0 ? `(${loud}) Mifeng` : "Mifeng";
  }, [loud]);
  return (
    <div className={`home${chosen === "" ? "" : " with-chat"}`}>
      {/* What a narrow page shows alone is what it is about. */}
      <div className="side" role={chosen === "" ? "main" : "complementary"}>
        <h1 className="hidden">Mifeng</h1>
        <SideHead status={status} account={account} />
        <List conversations={conversations} chosen={chosen} />
      </div>
      {open ? <Chat key={open.id} conversation={open} account={account} at={at} again={again} /> : (
        <section className="nothing" role={chosen === "" ? "region" : "main"} aria-label={say("message")}>
          <p className="dim">{say("nothingChosen")}</p>
        </section>
      )}
    </div>
  );
}

function SideHead({ status, account }: HomeProps) {
  const [dialog, setDialog] = useState<"new" | "link" | "devices" | "settings" | "about">();
  const close = () => setDialog(undefined);
  return (
    <div className="side-head">
      <Avatar name={account.handle} />
      <div className="who">
        <strong>@{account.handle}</strong>
        <span className={`dim line${status.live ? "" : " off"}`} role="status">
          {say(status.live ? (status.caughtUp ? "connected" : "connecting") : "offline")}
        </span>
      </div>
      <Button className="quiet icon" aria-label={say("newConversation")} onPress={() => setDialog("new")}>
        <Icon name="add" />
      </Button>
      <MenuTrigger>
        <Button className="quiet icon" aria-label={say("settings")}><Icon name="more" /></Button>
        <Popover className="popover">
          <Menu onAction={(key) => setDialog(key as "link" | "devices" | "settings" | "about")}>
            <MenuItem id="link">{say("link")}</MenuItem>
            <MenuItem id="devices">{say("ownDevices")}</MenuItem>
            <MenuItem id="settings">{say("preferences")}</MenuItem>
            <MenuItem id="about">{say("about")}</MenuItem>
          </Menu>
        </Popover>
      </MenuTrigger>
      <NewConversation isOpen={dialog === "new"} onClose={close} />
      <LinkDevice isOpen={dialog === "link"} onClose={close} />
      <Devices isOpen={dialog === "devices"} onClose={close} />
      <Settings isOpen={dialog === "settings"} onClose={close} />
      <About isOpen={dialog === "about"} onClose={close} account={account} />
    </div>
  );
}

function List({ conversations, chosen }: { conversations: Conversation[] | undefined; chosen: string }) {
  const [sought, setSought] = useState("");
  const wanted = sought.trim().toLocaleLowerCase();
  const shown = conversations?.filter((one) => one.title.toLocaleLowerCase().includes(wanted)) ?? [];
  return (
    <>
      <SearchField className="search" value={sought} onChange={setSought}>
        <Label className="hidden">{say("search")}</Label>
        <Input placeholder={say("search")} />
      </SearchField>
      <GridList
        className={wanted === "" ? "list" : "list few"}
        aria-label={say("conversations")}
        selectionMode="single"
        selectionBehavior="replace"
        selectedKeys={chosen === "" ? [] : [chosen]}
        onAction={(key) => choose(String(key))}
        onSelectionChange={(keys) => keys !== "all" && keys.size > 0 && choose(String([...keys][0]))}
        renderEmptyState={() => conversations && <p className="dim empty">{say(wanted === "" ? "noConversations" : "noMatch")}</p>}
      >
        {shown.map((conversation) => <Entry key={conversation.id} conversation={conversation} isOpen={conversation.id === chosen} />)}
      </GridList>
      {wanted !== "" && <Findings wanted={wanted} />}
    </>
  );
}

function Entry({ conversation, isOpen }: { conversation: Conversation; isOpen: boolean }) {
  const { id, title, group, last, unread, unreadMentions, loud, pinned, muted, draft } = conversation;
  const words = last ? lineSummary(last, group) : say(conversation.state === "active" ? "nothingYet" : "starting");
  return (
    <GridListItem id={id} className="entry" textValue={title}>
      <Avatar name={title} group={group} />
      <div className="words">
        <span className="title">{title}</span>
        {draft !== "" && !isOpen ? (
          <span className="preview"><span className="draft">{say("draft")}</span> {draft}</span>
        ) : (
          <span className="preview">{words}</span>
        )}
      </div>
      <div className="marks">
        <span className="when">
          {pinned && <Icon name="pin" label={say("pinned")} />}
          {muted && <Icon name="mute" label={say("muted")} />}
          {last && <time dateTime={new Date(last.at).toISOString()}>{shortTime(last.at)}</time>}
        </span>
        {unread > 0 && (
          <span className={`unread${loud > 0 ? "" : " low"}`}>
            {unreadMentions > 0 && "@"}
            {unread}
            <span className="hidden"> {say("unread")}</span>
          </span>
        )}
      </div>
    </GridListItem>
  );
}

export function shortTime(at: number): string {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const format: Intl.DateTimeFormatOptions = today ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric" };
  return new Intl.DateTimeFormat(language, format).format(date);
}

const PREFIX = "#/c/";

/** The conversation, and the place in it, that the address names. */
function useChosen(): { chosen: string; at: string | undefined } {
  const subscribe = (changed: () => void) => {
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  };
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  const [chosen = "", at] = hash.startsWith(PREFIX) ? hash.slice(PREFIX.length).split("/") : [];
  return { chosen, at };
}

/** Shows a conversation, or a line of it; none, for the list alone. */
export function choose(id: string, place?: string): void {
  location.hash = id === "" ? "#/" : `${PREFIX}${id}${place === undefined ? "" : `/${place}`}`;
}
