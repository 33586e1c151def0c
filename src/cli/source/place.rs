//! Which inbox or receiver the command line and the variables name.

use std::path::PathBuf;

use super::client::Client;
use super::{Local, Source};
use crate::cli::{Failure, input, mistake};
use crate::config::{Config, Engine};
use crate::inbox::reader;
use crate::operations::Ledger;
use crate::receiver;
use crate::words::TokenLine;

/// The variables that are read in place of the options.
const URL: &str = "BECKN_RECEIVER_URL";
const TOKEN: &str = "BECKN_RECEIVER_TOKEN";
const TOKEN_FILE: &str = "BECKN_RECEIVER_TOKEN_FILE";

/// Options of every command that reads or changes an inbox.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Where to look")]
pub(in crate::cli) struct Place {
    /// The inbox in this directory [default: inbox.path of the settings]
    #[arg(
        id = "where_inbox",
        long = "inbox",
        global = true,
        value_name = "DIR",
        conflicts_with = "where_url"
    )]
    inbox: Option<PathBuf>,

    #[arg(
        id = "where_url",
        long = "url",
        global = true,
        value_name = "URL",
        help = "A running receiver, by its operations listener, as http://host:9090 \
            [variable: BECKN_RECEIVER_URL]"
    )]
    url: Option<String>,

    #[arg(
        id = "where_token_file",
        long = "token-file",
        global = true,
        value_name = "FILE",
        help = "The file of the token that it wants [variable: BECKN_RECEIVER_TOKEN_FILE, or the \
            token itself in BECKN_RECEIVER_TOKEN]"
    )]
    token_file: Option<PathBuf>,
}

impl Place {
    /// Returns whether an option was given.
    pub(in crate::cli) fn is_given(&self) -> bool {
        self.inbox.is_some() || self.url.is_some() || self.token_file.is_some()
    }

    /// Opens the receiver that is named; `None` when the inbox of this machine is meant, for which
    /// the settings are needed.
    pub(in crate::cli) fn remote(&self) -> Result<Option<Source>, Failure> {
        let url = self.url.clone().or_else(|| {
            // The inbox was named on the command line, which is nearer than the environment.
            std::env::var(URL).ok().filter(|url| !url.is_empty() && self.inbox.is_none())
        });
        let Some(url) = url else {
            return match &self.token_file {
                Some(_) => Err(mistake("--token-file is for a receiver that --url names")),
                None => Ok(None),
            };
        };
        let token = self.token()?;
        Ok(Some(Source::Remote(Client::open(&url, token.as_deref()).map_err(mistake)?)))
    }

    /// Opens the inbox on this machine.
    pub(in crate::cli) fn local(&self, config: Config) -> Result<Source, Failure> {
        let mut runtime = None;
        let place = match &self.inbox {
            Some(directory) => reader::place::Place::from(directory.as_path()),
            None if config.inbox.engine == Engine::Sqlite => config.inbox.path.as_path().into(),
            None => {
                // Its connections are driven beside the command, which waits for each answer.
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                let driving = builder.worker_threads(1).enable_all().build()?;
                let place = receiver::inbox::place(&config, driving.handle())?;
                runtime = Some(driving);
                place
            }
        };
        let ledger = Ledger::open(&place)?;
        Ok(Source::Local(Box::new(Local { ledger, config, _runtime: runtime })))
    }

    /// Returns the directory of the inbox on this machine, for what cannot be done from afar.
    ///
    /// # Errors
    /// A receiver is named: another inbox than this machine's is meant.
    pub(in crate::cli) fn directory(&self, config: &Config) -> Result<PathBuf, Failure> {
        if self.url.is_some() || self.token_file.is_some() {
            return Err(mistake(
                "this is done on the receiver's own machine: --inbox names the inbox, --url does not",
            ));
        }
        if let Some(directory) = &self.inbox {
            return Ok(directory.clone());
        }
        // To copy this machine's inbox in place of the one that is named would not be noticed.
        if std::env::var(URL).is_ok_and(|url| !url.is_empty()) {
            return Err(mistake(format!(
                "{URL} names a receiver, and this is done on its own machine: name the inbox by \
                 --inbox"
            )));
        }
        if config.inbox.engine == Engine::Postgres {
            return Err(mistake(
                "the inbox is in PostgreSQL (inbox.engine): its own tools copy it and bring it \
                 back, such as pg_dump",
            ));
        }
        Ok(config.inbox.path.clone())
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let file = self.token_file.clone().or_else(|| variable(TOKEN_FILE).map(PathBuf::from));
        match file {
            Some(file) => {
                let line = input::line(&file, "a token")?;
                // As the receiver keeps it, with its name and what it permits.
                let token = TokenLine::parse(&line).map(|line| line.token.to_owned());
                Ok(Some(token.unwrap_or(line)))
            }
            None => Ok(variable(TOKEN)),
        }
    }
}
