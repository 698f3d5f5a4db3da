// Pictures that are sent: made anew from their pixels, so that where and when and by whom they were taken stays here.

import type { Parcel } from "./files";

/** Pixels in either direction, and in all. */
const SIDE_MAX = 16_384;
const PIXELS_MAX = 128_000_000;
const QUALITY = 0.88;
const THUMBNAIL_SIDE = 192;
/** What others may send for one. */
export const THUMBNAIL_SIDE_MAX = 512;
const THUMBNAIL_QUALITY = 0.6;
/** Bytes of a picture's beginning that say what it is. */
const HEAD_BYTES = 12;

type Kind = "image/jpeg" | "image/png" | "image/webp";

export interface Size {
  width: number;
  height: number;
}

/** A photograph (JPEG), a drawing (PNG) or either (WebP), by its first bytes, as the client of the command line tells them. */
async function kindOf(file: Blob): Promise<Kind | undefined> {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  return head.startsWith("RIFF") && head.endsWith("WEBP") ? "image/webp" : undefined;
}

/**
 * How large the picture at an address says it is, before a single pixel is decoded. Throws for what is none, or has more than so many pixels
 * in a direction or in all.
 */
export async function measure(url: string, sideMax = SIDE_MAX): Promise<Size> {
  const image = new Image();
  await new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error("not a picture"));
    image.src = url;
  });
  const { naturalWidth: width, naturalHeight: height } = image;
  if (width === 0 || height === 0) throw new Error("not a picture");
  if (width > sideMax || height > sideMax || width * height > PIXELS_MAX) throw new Error(`${width} × ${height}`);
  return { width, height };
}

/** The picture in a file, made anew; `undefined` when it is none. One that cannot be made anew throws. */
export async function remade(file: File): Promise<Parcel | undefined> {
  const kind = await kindOf(file);
  if (!kind) return undefined;
  const url = URL.createObjectURL(new Blob([file], { type: kind }));
  try {
    await measure(url);
  } finally {
    URL.revokeObjectURL(url);
  }
  // Upright, as its camera says.
  const pixels = await createImageBitmap(file, { imageOrientation: "from-image" });
  try {
    const { width, height } = pixels;
    const isPhotograph = kind === "image/jpeg" || (kind === "image/webp" && !hasHoles(pixels));
    const [type, ending] = isPhotograph ? ["image/jpeg", "jpg"] : ["image/png", "png"];
    const bytes = await painted(pixels, { width, height }, type, QUALITY);
    const small = await painted(pixels, within({ width, height }, THUMBNAIL_SIDE), "image/jpeg", THUMBNAIL_QUALITY);
    const thumbnail = new Uint8Array(await small.arrayBuffer());
    const name = `${file.name.replace(/\.[^.]*$/, "") || "picture"}.${ending}`;
    return { bytes, details: { name, mediaType: type, preview: { width, height, thumbnail } } };
  } finally {
    pixels.close();
  }
}

/** As large as fits into a square of this side, and no larger than it is. */
export function within({ width, height }: Size, side: number): Size {
  const scale = Math.min(1, side / width, side / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

function drawn(pixels: ImageBitmap, { width, height }: Size, alpha: boolean): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha });
  if (!context) throw new Error("the browser does not paint");
  context.imageSmoothingQuality = "high";
  context.drawImage(pixels, 0, 0, width, height);
  return [canvas, context];
}

function painted(pixels: ImageBitmap, size: Size, type: string, quality: number): Promise<Blob> {
  const [canvas] = drawn(pixels, size, type === "image/png");
  return canvas.convertToBlob({ type, quality });
}

/** Whether something shows through; looked for in a smaller copy. */
function hasHoles(pixels: ImageBitmap): boolean {
  const size = within(pixels, THUMBNAIL_SIDE);
  const [, context] = drawn(pixels, size, true);
  return context.getImageData(0, 0, size.width, size.height).data.some((value, at) => at % 4 === 3 && value < 255);
}
