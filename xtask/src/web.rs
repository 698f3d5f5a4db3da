//! `cargo xtask web`: the browser's program, from a fresh machine to `apps/web/dist`, where the server's build takes it.

use crate::prepare::{self, BrowserCompiler};
use crate::stage::{Outcome, Tests, stream};
use crate::test::{Binaries, cargo_command};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a person downloads before the first screen, compressed.
const FIRST_LOAD_MAX_BYTES: u64 = 1_500_000;
const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "mifeng-wasm";
/// What wasm-bindgen writes, and TypeScript imports.
const GLUE: &str = "src/core/wasm";
const MODULE: &str = "mifeng_wasm_bg.wasm";
/// What browsers have had for years, and clang and rustc use.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
];

/// `cargo xtask web`.
pub(crate) fn run() -> Result<bool> {
    let outcome = bundle()?;
    println!("apps/web/dist: {}. Build mifengd again to put it in.", outcome.remark);
    Ok(true)
}

/// Builds everything; says what a first load costs.
pub(crate) fn bundle() -> Result<Outcome> {
    let compiler = prepare::to_browse()?;
    let root = workspace::root();
    let module = compile(&root, &compiler)?;
    let app = root.join("apps/web");
    let glue = app.join(GLUE);
    let mut bind = Command::new(wasm_bindgen(&root)?);
    stream(bind.args(["--target", "web", "--out-dir"]).arg(&glue).arg(&module), |_| {})?;
    npm(&app, &["ci", "--no-audit", "--no-fund"])?;
    shrink(&app, &glue.join(MODULE))?;
    npm(&app, &["run", "check"])?;
    npm(&app, &["run", "build"])?;
    let first_load = compressed(&app.join("dist"))?;
    if first_load > FIRST_LOAD_MAX_BYTES {
        bail!("a first load is {first_load} bytes compressed; {FIRST_LOAD_MAX_BYTES} is what it may be");
    }
    Ok(Outcome { remark: format!("first load {} KiB compressed", first_load / 1024), ..Outcome::default() })
}

/// The tests that need no browser, and those in a real one, against the real programs.
pub(crate) fn test(binaries: &Binaries, least: &mut u64) -> Result<Outcome> {
    prepare::to_test_in_browsers()?;
    let app = workspace::root().join("apps/web");
    let mut tests = Tests::default();
    let mut failure = None;
    for script in ["unit", "e2e"] {
        let mut command = Command::new("npm");
        command.args(["run", script]).current_dir(&app);
        command.env("MIFENGD", &binaries.mifengd).env("MIFENG", &binaries.mifeng);
        let ended = stream(&mut command, |line| {
            let Tests { passed, failed } = counted(line);
            tests.passed += passed;
            tests.failed += failed;
        });
        failure = failure.or(ended.err().map(|error| format!("{error:#}")));
    }
    if failure.is_none() && tests.passed < *least {
        failure = Some(format!("only {} tests ran; ci/counts.toml expects at least {least}", tests.passed));
    }
    let remark = format!("(at least {least})");
    *least = tests.passed.max(*least);
    Ok(Outcome { tests: Some(tests), remark, failure })
}

/// Reads a line of the summary of `node --test`.
fn counted(line: &str) -> Tests {
    let number = |word: &str| line.trim().strip_prefix(word).and_then(|rest| rest.trim().parse().ok()).unwrap_or(0);
    Tests { passed: number("# pass "), failed: number("# fail ") + number("# cancelled ") }
}

/// The client as a WebAssembly module.
fn compile(root: &Path, compiler: &BrowserCompiler) -> Result<PathBuf> {
    let mut build = cargo_command(&["build", "--locked", "--profile", "web", "--target", TARGET, "--package", PACKAGE]);
    if let BrowserCompiler::Debian { linker } = compiler {
        build.arg("-Zbuild-std=std,panic_abort").env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    stream(with_c_compiler(&mut build), |_| {})?;
    let target = workspace::metadata(root)?.target_directory.into_std_path_buf();
    Ok(target.join(TARGET).join("web/mifeng_wasm.wasm"))
}

/// What only this target compiles, looked at by clippy, which Debian's compiler does not have.
pub(crate) fn clippy() -> Result<Outcome> {
    if prepare::to_browse()? != BrowserCompiler::Own {
        return Ok(Outcome { remark: "left out: no clippy for this compiler".into(), ..Outcome::default() });
    }
    let mut command = cargo_command(&["clippy", "--locked", "--profile", "web", "--target", TARGET]);
    command.args(["--package", "mifeng-runtime", "--package", PACKAGE, "--", "--deny", "warnings"]);
    stream(with_c_compiler(&mut command), |_| {})?;
    Ok(Outcome::default())
}

/// The same with what compiles SQLite, which is C, for a browser.
fn with_c_compiler(command: &mut Command) -> &mut Command {
    command.env("CC_wasm32_unknown_unknown", "clang-19").env("AR_wasm32_unknown_unknown", "llvm-ar-19")
}

/// wasm-bindgen's program in the version of its library in the lock file, because one does not read the other's in any other.
fn wasm_bindgen(root: &Path) -> Result<PathBuf> {
    let metadata = workspace::metadata(root)?;
    let library = metadata.packages.iter().find(|package| package.name.as_str() == "wasm-bindgen");
    let version = library.context("wasm-bindgen is not in the lock file")?.version.to_string();
    let tools = metadata.target_directory.into_std_path_buf().join("tools");
    let program = tools.join("bin/wasm-bindgen");
    let found = Command::new(&program).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    if String::from_utf8_lossy(&found).trim() == format!("wasm-bindgen {version}") {
        return Ok(program);
    }
    println!("Missing: wasm-bindgen {version}. Building it, once; it is kept in {}.", tools.display());
    let install = |extra: &[&str]| {
        let mut command = cargo_command(&["install", "wasm-bindgen-cli", "--debug", "--force", "--version"]);
        command.arg(format!("={version}")).arg("--root").arg(&tools).arg("--target-dir").arg(tools.join("build"));
        stream(command.args(extra), |_| {})
    };
    // A registry's mirror may lack a version that its lock file names.
    install(&["--locked"]).or_else(|_| install(&[]))?;
    Ok(program)
}

fn npm(app: &Path, arguments: &[&str]) -> Result<()> {
    stream(Command::new("npm").args(arguments).current_dir(app), |_| {})
}

/// Debian's binaryen breaks the module; npm has a later one.
fn shrink(app: &Path, module: &Path) -> Result<()> {
    let mut command = Command::new(app.join("node_modules/.bin/wasm-opt"));
    stream(command.arg("-Oz").args(WASM_FEATURES).arg(module).arg("-o").arg(module), |_| {})
}

/// Bytes of all compressed files.
fn compressed(dist: &Path) -> Result<u64> {
    let files = workspace::files(dist, &[".br"]);
    if files.is_empty() {
        bail!("nothing is compressed in {}", dist.display());
    }
    files.iter().map(|file| Ok(file.metadata()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_node_is_read() {
        assert_eq!(counted("# pass 7"), Tests { passed: 7, failed: 0 });
        assert_eq!(counted("# fail 2"), Tests { passed: 0, failed: 2 });
        assert_eq!(counted("ok 1 - pass 3"), Tests::default());
    }
}
