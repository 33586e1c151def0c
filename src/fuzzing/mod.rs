//! What the fuzz targets of `tests/fuzz` call: the pieces that see untrusted bytes first, with
//! what must hold whatever the bytes are. Built only where a fuzzer is the caller.

mod authorization;
mod intake;
mod memory;

pub use authorization::authorization;
pub use intake::intake;

/// The bytes that a fuzzer made up, cut into what a target needs; what is missing is empty or zero.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Takes the bytes up to a line feed.
    fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_at(N.min(self.0.len()));
        self.0 = rest;
        let mut taken = [0; N];
        taken[..bytes.len()].copy_from_slice(bytes);
        taken
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }
}
