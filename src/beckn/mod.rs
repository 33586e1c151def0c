//! The protocol as it is on the wire: typed models that read what networks really send.

pub mod action;
