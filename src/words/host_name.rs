//! A name that a server is reached by.

use std::fmt;

/// The name of a host, in small letters, without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// What a text must be, to go after "expected".
    pub(crate) const FORM: &'static str = "only host names without a port, as \"ops.example\"";

    /// Reads a name; letters are made small. `None`: it is no host name.
    pub fn parse(text: &str) -> Option<Self> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let fits = text.len() <= 253 && text.split('.').all(is_label);
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::HostName;

    #[test]
    fn a_host_name_has_no_port_and_no_path() {
        let read = |text| HostName::parse(text).map(|name| name.to_string());
        assert_eq!(read("Ops.example").as_deref(), Some("ops.example"));
        assert_eq!(read("10.0.0.7").as_deref(), Some("10.0.0.7"));
        for bad in ["", ".", "ops.example:443", "https://ops.example", "ops.example/", "[::1]"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
