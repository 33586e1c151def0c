//! The settings that are a choice between words.

/// A closed set of words that a setting chooses from.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// Every choice, in the order in which it is offered.
    const OFFERED: &'static [Self];

    /// Returns the word of the settings file.
    fn word(self) -> &'static str;
}

macro_rules! choices {
    ($(
        $(#[doc = $doc:literal])+
        $Name:ident {
            $($(#[doc = $word_doc:literal])+ $Word:ident = $word:literal,)+
        }
    )+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Name { $($(#[doc = $word_doc])+ $Word,)+ }

        impl $Name {
            /// Returns the word as the settings file spells it.
            pub const fn as_str(self) -> &'static str {
                match self { $($Name::$Word => $word,)+ }
            }
        }

        impl Choice for $Name {
            const OFFERED: &'static [Self] = &[$($Name::$Word,)+];

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )+ };
}

choices! {
    /// What becomes of the callbacks beside `on_status`, `on_update` and `on_track`.
    OtherActions {
        /// They take the same way: checked, kept, answered ACK, handed over.
        Keep = "keep",
        /// They are answered like an unknown path.
        Refuse = "refuse",
    }

    /// Whether signatures are asked for.
    SignatureMode {
        /// What is not signed is refused.
        Required = "required",
        /// What is signed is verified; what is not is accepted and marked as unverified.
        Optional = "optional",
        /// No signature is looked at; every sender is unverified.
        Off = "off",
    }

    /// Where the log of callbacks is.
    Engine {
        /// A file of this machine, for one receiver.
        Sqlite = "sqlite",
        /// A PostgreSQL database, which several receivers share.
        Postgres = "postgres",
    }

    /// What a registry speaks.
    RegistryApi {
        /// ONDC's `/v2.0/lookup`: the request is signed.
        OndcV2 = "ondc_v2",
        /// ONDC's `/lookup`.
        Ondc = "ondc",
        /// Beckn's `/lookup`.
        Beckn = "beckn",
    }

    /// What a ready-made handler hands over.
    Content {
        /// What the receiver knows of the event, as JSON, with the callback inside.
        Envelope = "envelope",
        /// The callback as it came, byte for byte.
        Callback = "callback",
    }

    /// How a line of the log is written.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

impl Choice for crate::words::Level {
    const OFFERED: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Choice for crate::words::Profile {
    const OFFERED: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}
