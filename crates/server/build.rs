//! Puts the browser's program into the server, if it has been built (`cargo xtask web`): a list of its files, each with its
//! bytes. Without it the list is empty, and the server says how to build it.

use std::path::{Path, PathBuf};
use std::{env, fmt::Write, fs, io};

fn main() -> io::Result<()> {
    let dist = Path::new("../../apps/web/dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist.canonicalize()?, &mut files)?;
        files.sort();
    }
    let mut list = String::from("&[\n");
    for path in &files {
        let root = dist.canonicalize()?;
        let name = path.strip_prefix(&root).map_err(io::Error::other)?;
        // Written as Rust writes a string, so that no name can end it.
        let _ = writeln!(list, "(\"/{}\", include_bytes!({path:?})),", name.display());
    }
    list.push(']');
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(out.join("web.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}
