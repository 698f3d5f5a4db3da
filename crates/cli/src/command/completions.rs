use crate::failure::Failure;
use clap_complete::Shell;

/// Print completions for a shell: `mifeng completions bash > /etc/bash_completion.d/mifeng`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    shell: Shell,
}

impl Args {
    pub(super) fn run(self) -> Result<(), Failure> {
        clap_complete::generate(self.shell, &mut crate::definition(), "mifeng", &mut std::io::stdout());
        Ok(())
    }
}
