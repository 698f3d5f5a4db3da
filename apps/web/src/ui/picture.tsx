// A picture in a conversation: its blurred preview, then itself, and large when it is pressed.

import { useEffect, useRef, useState } from "react";
import { Button, Dialog, Modal, ModalOverlay } from "react-aria-components";
import { measure, THUMBNAIL_SIDE_MAX, within } from "../core/picture";
import type { Preview } from "../core/wasm/mifeng_wasm";
import { fileSize } from "../text";
import { language, say } from "../words";
import { session } from "./client";
import { Save, useAddress, useComesWhenSeen, useOpened, useWay, Way, type FileProps } from "./file";
import { Icon } from "./parts";

/** Pixels of the page. */
const SIDE = 320;
/** A sender can claim any shape; none is shown narrower than this. */
const SHORT_SIDE = 80;

export function Picture({ preview, ...props }: FileProps & { preview: Preview }) {
  const { from, file } = props;
  const way = useWay(from);
  const place = useRef<HTMLDivElement>(null);
  useComesWhenSeen(place, file, way);
  const { address: blurred } = useAddress(preview.thumbnailType != null, () => thumbnail(from.conversation, from.message, preview.thumbnailType ?? ""));
  const opened = useOpened(from, file, way.isHere);
  const { address, isUnfit } = useFit(opened.address);
  const [isLarge, setLarge] = useState(false);
  const { width, height } = within(preview.width > 0 && preview.height > 0 ? preview : { width: SIDE, height: SIDE }, SIDE);
  return (
    <div className="picture" ref={place}>
      <Button
        className="frame" isDisabled={address === undefined} aria-label={`${say("show")}: ${file.name}`} onPress={() => setLarge(true)}
        style={{ width: Math.max(width, SHORT_SIDE), height: Math.max(height, SHORT_SIDE) }}
      >
        {blurred !== undefined && address === undefined && <img className="blurred" src={blurred} alt="" />}
        {address !== undefined && <img src={address} alt={file.name} decoding="async" />}
      </Button>
      {(isUnfit || opened.isLost) && <p className="wrong">{say("notShown")}</p>}
      {(address === undefined || way.progress?.state === "sending") && (
        <div className="way"><span className="dim">{fileSize(file.size, language)}</span><Way {...props} way={way} isLost={opened.isLost} /></div>
      )}
      {isLarge && address !== undefined && <Large {...props} address={address} onClose={() => setLarge(false)} />}
    </div>
  );
}

/** The blurred preview. Its sender may be anybody: one that is not small is none. */
async function thumbnail(conversation: string, message: string, type: string): Promise<Blob | undefined> {
  const bytes = await session.call("thumbnail", conversation, message);
  if (!bytes) return undefined;
  const small = new Blob([bytes as Uint8Array<ArrayBuffer>], { type });
  const url = URL.createObjectURL(small);
  try {
    await measure(url, THUMBNAIL_SIDE_MAX);
    return small;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The address, if what is there is a picture that this page can hold. */
function useFit(opened: string | undefined): { address: string | undefined; isUnfit: boolean } {
  const [fit, setFit] = useState<{ address: string; is: boolean }>();
  useEffect(() => {
    if (opened === undefined) return;
    let isShown = true;
    measure(opened).then(
      () => isShown && setFit({ address: opened, is: true }),
      () => isShown && setFit({ address: opened, is: false }),
    );
    return () => {
      isShown = false;
    };
  }, [opened]);
  const known = fit?.address === opened ? fit : undefined;
  return { address: known?.is ? opened : undefined, isUnfit: known?.is === false };
}

function Large({ address, onClose, ...props }: FileProps & { address: string; onClose: () => void }) {
  return (
    <ModalOverlay className="overlay dark" isOpen onOpenChange={(isOpen) => !isOpen && onClose()} isDismissable>
      <Modal className="large">
        <Dialog aria-label={props.file.name}>
          <header>
            <span className="title">{props.file.name}</span>
            <Save {...props} />
            <Button className="quiet icon" aria-label={say("close")} onPress={onClose}><Icon name="close" /></Button>
          </header>
          <img src={address} alt={props.file.name} />
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
