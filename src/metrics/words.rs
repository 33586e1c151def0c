//! The values of labels that are closed sets.

/// Declares an enum whose variants are values of a label.
macro_rules! words {
    ($( $(#[doc = $doc:literal])+ $Name:ident { $( $Variant:ident = $text:literal, $what:literal; )+ } )+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $Name { $( #[doc = $what] $Variant, )+ }

        impl $Name {
            /// Every one, in the order of the enum.
            pub(crate) const ALL: &'static [&'static str] = &[$( $text, )+];

            /// Returns the value of the label.
            #[allow(dead_code)] // Only some are said elsewhere, too.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $( $Name::$Variant => $text, )+ }
            }
        }
    )+ };
}

words! {
    /// How a callback was answered.
    Answer {
        Ack = "ack", "Kept as a new event.";
        Duplicate = "duplicate", "ACKed as a repetition.";
        Nack = "nack", "A rule refuses it.";
        Unauthorized = "unauthorized", "Its signature is missing or not good.";
        Refused = "refused", "The request is not one: 404, 405, 413, 415.";
        Unavailable = "unavailable", "503.";
        Error = "error", "A bug of ours.";
    }

    /// Why a callback was answered 503.
    Busy {
        Requests = "requests", "`http.in_flight_requests`.";
        Bytes = "bytes", "`http.in_flight_bytes`.";
        Queue = "queue", "The writer is behind.";
        Unsettled = "unsettled", "`inbox.unsettled_limit`.";
        Disk = "disk", "Too little room on the disk.";
        Engine = "engine", "The inbox failed.";
        Registry = "registry", "A key could not be looked up.";
        Late = "late", "`http.request_timeout_ms`.";
        Broken = "broken", "The body broke off.";
        Stopping = "stopping", "The receiver stops.";
    }

    /// How an attempt ended.
    Ended {
        Done = "done", "The handler has taken it.";
        Retry = "retry", "It is tried again after an error.";
        Dead = "dead", "It was given up, or refused for good.";
        Panic = "panic", "The handler panicked.";
        TimeOut = "timeout", "The handler took too long.";
    }

    /// What came of a look-up.
    Lookup {
        Found = "found", "The registry lists the subscriber.";
        Unknown = "unknown", "It does not.";
        Failed = "failed", "It did not answer, or not as it should.";
        OverBudget = "over_budget", "It was not asked: the budget is spent.";
    }

    /// Where a key came from.
    KeyFrom {
        Cache = "hit", "It was known.";
        Registry = "miss", "It was looked up, or waited for.";
        Nowhere = "none", "It is known that there is none, or nobody can be asked now.";
    }

    /// Why a request of an operator was refused.
    Denied {
        NoToken = "no_token", "It brings none.";
        WrongToken = "wrong_token", "It brings another one.";
        Permission = "permission", "Its token may not do that.";
        Origin = "origin", "It comes from a page of another origin.";
        Host = "host", "It was meant for another host.";
        Rate = "rate", "Too many came.";
    }
}
