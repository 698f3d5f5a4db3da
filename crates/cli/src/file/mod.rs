//! Files between this machine's disk and the brain: what is sent is read from it part by part, what is saved is written to it.

mod picture;

use crate::failure::{Failure, Kind};
use client::content::{Attachment, Body, FileDetails};
use client::{Client, FILE_PART_BYTES};
use runtime::now;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wire::{BlobId, ConversationId, MessageId};

/// Names that are tried for a file that would stand in the way of another.
const NAMES_MAX: u32 = 1_000;

/// A file that is sealed, and waits to be sent.
pub(crate) struct Prepared {
    pub(crate) blob: BlobId,
    pub(crate) details: FileDetails,
    /// Bytes of what will be sent.
    pub(crate) size: u64,
}

/// Reads and seals a file. A picture is made anew from its pixels, so that nothing else travels with it, unless it is to go
/// `as_it_is`.
pub(crate) fn prepare(client: &mut Client, path: &Path, as_it_is: bool) -> Result<Prepared, Failure> {
    let unreadable = |error: io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let size = match file.metadata().map_err(unreadable)? {
        metadata if metadata.is_file() => metadata.len(),
        _ => return Err(Failure::usage(format!("{} is not a file", path.display()))),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !as_it_is && let Some(picture) = picture::read(path)? {
        let details = FileDetails {
            name: picture.name(&name),
            media_type: Some(picture.media_type.into()),
            preview: Some(picture.preview),
            voice: None,
        };
        let size = picture.bytes.len() as u64;
        let blob = seal(client, &mut picture.bytes.as_slice(), size)?;
        return Ok(Prepared { blob, details, size });
    }
    let media_type = media_type(path).map(String::from);
    let blob = seal(client, &mut file, size)?;
    Ok(Prepared { blob, details: FileDetails { name, media_type, preview: None, voice: None }, size })
}

fn seal(client: &mut Client, source: &mut dyn Read, size: u64) -> Result<BlobId, Failure> {
    let blob = client.begin_file(size, now())?;
    let sealed = seal_parts(client, source, blob, size);
    if sealed.is_err() {
        client.discard_file(blob, now())?;
    }
    sealed.map(|()| blob)
}

fn seal_parts(client: &mut Client, source: &mut dyn Read, blob: BlobId, size: u64) -> Result<(), Failure> {
    let changed =
        || Failure::usage("the file has changed while it was read").hint("try again when nobody writes to it");
    let mut part = vec![0; FILE_PART_BYTES];
    let mut left = size;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
        let bytes = part.get_mut(..len).ok_or_else(changed)?;
        source.read_exact(bytes).map_err(|_| changed())?;
        client.add_to_file(blob, bytes, now())?;
        left -= len as u64;
    }
    if source.read(&mut [0])? > 0 { Err(changed()) } else { Ok(()) }
}

/// The media type by the name's ending, for those that are worth telling apart.
fn media_type(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match ending.as_str() {
        "txt" | "log" | "md" => "text/plain",
        "pdf" => "application/pdf",
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "ogg" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "zip" => "application/zip",
        _ => return None,
    })
}

/// The file of a message.
pub(crate) fn attachment(
    client: &Client,
    conversation: ConversationId,
    message: MessageId,
) -> Result<Attachment, Failure> {
    match client.message(conversation, message)?.and_then(|line| line.body) {
        Some(Body::File(attachment)) => Ok(attachment),
        _ => Err(Failure::usage("this message has no file").hint("`mifeng tail` shows which have one")),
    }
}

/// Writes the file of a message, which is on this device, to a place that is free: `to`, or a name of its own in the folder
/// `to`. Returns where it is.
pub(crate) fn save(
    client: &Client,
    conversation: ConversationId,
    message: MessageId,
    to: Option<&Path>,
) -> Result<PathBuf, Failure> {
    let attachment = attachment(client, conversation, message)?;
    let (mut file, path) = make(to, &attachment.file_name())?;
    let written = write_parts(client, conversation, message, &mut file);
    if written.is_err() {
        // Half a file would pass for a whole one.
        std::fs::remove_file(&path)?;
    }
    written.map(|()| path)
}

fn write_parts(
    client: &Client,
    conversation: ConversationId,
    message: MessageId,
    file: &mut File,
) -> Result<(), Failure> {
    for index in 0.. {
        let part = client.file_part(conversation, message, index)?;
        if part.is_empty() {
            break;
        }
        file.write_all(&part)?;
    }
    Ok(file.sync_all()?)
}

/// A new file; one that is there already is left alone.
fn make(to: Option<&Path>, name: &str) -> Result<(File, PathBuf), Failure> {
    let new = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    let folder = match to {
        Some(path) if !path.is_dir() => {
            return match new(path) {
                Ok(file) => Ok((file, path.into())),
                Err(error) => Err(Failure::new(Kind::Storage, format!("cannot write {}: {error}", path.display()))),
            };
        }
        folder => folder.unwrap_or_else(|| Path::new(".")),
    };
    let name = Path::new(name);
    let (stem, ending) = (name.file_stem().unwrap_or_default(), name.extension());
    for number in 1..NAMES_MAX {
        let mut numbered = stem.to_os_string();
        if number > 1 {
            numbered.push(format!(" ({number})"));
        }
        if let Some(ending) = ending {
            numbered.push(".");
            numbered.push(ending);
        }
        let path = folder.join(numbered);
        match new(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(Failure::new(Kind::Storage, format!("cannot write {}: {error}", path.display())));
            }
        }
    }
    Err(Failure::new(Kind::Storage, format!("too many files of this name in {}", folder.display())))
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB"];
    if bytes < 1_000 {
        return format!("{bytes} bytes");
    }
    let (mut amount, mut unit) = (bytes as f64 / 1_000.0, 0);
    while amount >= 999.95 && unit + 1 < units.len() {
        amount /= 1_000.0;
        unit += 1;
    }
    format!("{amount:.1} {}", units.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_sizes() {
        let texts = [0, 999, 1_000, 999_949, 999_950, 52_428_800, 2 << 30].map(size);
        assert_eq!(texts, ["0 bytes", "999 bytes", "1.0 kB", "999.9 kB", "1.0 MB", "52.4 MB", "2.1 GB"]);
    }

    #[test]
    fn what_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let name = |(_, path): (File, PathBuf)| path.file_name().unwrap().to_str().unwrap().to_owned();
        let names: Vec<_> = (0..3).map(|_| name(make(Some(folder.path()), "plan.pdf").unwrap())).collect();
        assert_eq!(names, ["plan.pdf", "plan (2).pdf", "plan (3).pdf"]);
        assert_eq!(name(make(Some(folder.path()), "README").unwrap()), "README");
        let path = folder.path().join("as-i-say");
        assert_eq!(make(Some(&path), "plan.pdf").unwrap().1, path);
        assert!(make(Some(&path), "plan.pdf").is_err());
    }
}
