//! Where the content of a callback lies in its body: what makes two callbacks the same.

use std::ops::Range;

/// Where the raw values of `message` and `error` lie in the body as it was sent.
///
/// Both are `None` when a key beside them is written with escapes: then the whole body counts as
/// the content. A body without either has neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Content {
    pub(crate) message: Option<Range<usize>>,
    pub(crate) error: Option<Range<usize>>,
}

/// Locates the values of `message` and `error` by where the keys lie in the text.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    message: Option<Range<usize>>,
    error: Option<Range<usize>>,
    /// The value that has begun, and where.
    open: Option<(Part, usize)>,
    /// A key could not be located: it has escapes, and lies in a buffer of its own.
    lost: bool,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Message,
    Error,
}

impl Spans {
    /// Takes note of a key of the top level: the value before it ends, its own begins.
    pub(crate) fn key(&mut self, json: &str, key: &str) {
        // A borrowed key is a part of the text, and the distance is its offset. One that was
        // written with escapes lies in a buffer of its own, outside of the text.
        let start = (key.as_ptr() as usize).wrapping_sub(json.as_ptr() as usize);
        let quote = start.wrapping_sub(1);
        let (Some(before), true) = (json.get(..quote), start < json.len()) else {
            self.lost = true;
            return;
        };
        self.close(before, ',');
        let part = match key {
            "message" => Part::Message,
            "error" => Part::Error,
            _ => return,
        };
        let Some(value) = json.get(start + key.len() + 1..) else { return };
        let blanks = value.trim_ascii_start();
        let value = blanks.strip_prefix(':').unwrap_or(blanks).trim_ascii_start();
        self.open = Some((part, json.len() - value.len()));
    }

    /// Takes note of the end of the object.
    pub(crate) fn end(&mut self, json: &str) {
        self.close(json, '}');
    }

    fn close(&mut self, before: &str, end: char) {
        let Some((part, start)) = self.open.take() else { return };
        let value = before.trim_ascii_end();
        let value = value.strip_suffix(end).unwrap_or(value).trim_ascii_end();
        let span = Some(start..value.len());
        match part {
            Part::Message => self.message = span,
            Part::Error => self.error = span,
        }
    }

    /// Returns both places, in a body that is this much longer at its start.
    pub(crate) fn content(&self, offset: usize) -> Content {
        if self.lost {
            return Content::default();
        }
        let shift = |span: &Range<usize>| span.start + offset..span.end + offset;
        Content { message: self.message.as_ref().map(shift), error: self.error.as_ref().map(shift) }
    }
}
