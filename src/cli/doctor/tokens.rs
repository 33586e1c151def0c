//! What is checked of the tokens that let operators in.

use std::path::Path;

use super::Finding;
use super::local::readable_by_others;
use crate::config::Config;
use crate::http::operations::access::{Tokens, TokensFile};
use crate::words::Chain;

const CHECK: &str = "tokens";

/// Reads the tokens as a start does, and makes none.
pub(super) fn tokens(config: &Config) -> Vec<Finding> {
    let (settings, inbox) = (&config.operations, &config.inbox.path);
    let file = TokensFile::of(settings, inbox);
    if let Some(TokensFile::Ours(file)) = &file
        && !file.exists()
    {
        return vec![not_made(config, file)];
    }
    let read = match Tokens::load(settings, inbox) {
        Ok(tokens) => Finding::ok(CHECK, format!("{} can be read", tokens.count())),
        Err(error) => Finding::failed(CHECK, Chain(&error).to_string(), "mend what it names"),
    };
    // A file that is not there was told of by who has tried to read it.
    let others = file.and_then(|file| match file {
        TokensFile::Named(file) | TokensFile::Ours(file) if file.exists() => {
            readable_by_others(CHECK, "operators' tokens", &file)
        }
        TokensFile::Named(_) | TokensFile::Ours(_) => None,
    });
    std::iter::once(read).chain(others).collect()
}

/// Off loopback nobody can ask anything without what is in the file.
fn not_made(config: &Config, file: &Path) -> Finding {
    if config.operations.listen.ip().to_canonical().is_loopback() {
        return Finding::ok(CHECK, "there are none yet: the first start makes one");
    }
    let file = file.display();
    let found = format!("operations.listen is not loopback, and {file} is not there");
    let todo = "the first start makes it: give its token to who needs it, or set \
        operations.tokens_file";
    Finding::warning(CHECK, found, todo)
}
