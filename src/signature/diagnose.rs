//! Why a signature does not match: tries what real senders get wrong.
