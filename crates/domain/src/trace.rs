//! Which trace something belongs to, as systems tell each other (W3C Trace Context). It is carried along and decides nothing.

use crate::limits::TRACE_STATE_MAX;
use std::sync::Arc;

/// `00-<32 hexadecimal digits of the trace>-<16 of the caller's span>-<2 of flags>`.
const PARENT_LEN: usize = 55;

/// The place of a caller in a trace. It is passed on as it came: spans of its own are not recorded here. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: Arc<str>,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads a `traceparent` and its `tracestate`; nothing unless the former is valid (W3C Trace Context, 3.2). Of a later version
    /// it is read as far as version 00 goes. A state that is too long or not text is left out (3.3.1.5).
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let (head, more) = parent.split_at_checked(PARENT_LEN)?;
        let mut parts = head.split('-');
        let mut hex =
            |n: usize| parts.next().filter(|part| part.len() == n && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        let (version, trace, span, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let named = [trace, span].iter().all(|id| id.bytes().any(|b| b != b'0'));
        let known = more.is_empty() || (version != "00" && more.starts_with('-'));
        let plain = |state: &&str| (1..=TRACE_STATE_MAX).contains(&state.len()) && state.bytes().all(|b| matches!(b, b' '..=b'~'));
        let state = state.map(|state| state.trim_matches([' ', '\t'])).filter(plain).map(Arc::from);
        (named && known && version != "ff").then(|| Self { parent: format!("00{}", &head[2..]).into(), state })
    }

    /// The 32 hexadecimal digits all that belongs together shares.
    pub fn trace_id(&self) -> &str {
        &self.parent[3..35]
    }

    /// As a `traceparent`.
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// As a `tracestate`: what the systems on the way have noted.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// What is passed on, by the names that headers and attributes of it have everywhere.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("traceparent", self.parent())].into_iter().chain(self.state().map(|state| ("tracestate", state)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_only_when_it_is_well_formed() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let whole = format!("00-{trace}-{span}-01");
        for (text, known) in [
            (whole.clone(), true),
            (format!("cc-{trace}-{span}-01-what-comes-later"), true),
            (format!("cc-{trace}-{span}-01"), true),
            (format!("cc-{trace}-{span}-01.more"), false),
            (format!("00-{trace}-{span}-01-more"), false),
            (format!("00-{trace}-{span}-01-"), false),
            (format!("ff-{trace}-{span}-01"), false),
            (format!("00-{}-{span}-01", trace.to_uppercase()), false),
            (format!("00-{}-{span}-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{trace}-{span}"), false),
            (format!("00-{trace}{span}--01"), false),
            (format!("00-{}é-{span}-01", &trace[2..]), false),
            (String::new(), false),
        ] {
            let read = TraceContext::parse(&text, None);
            assert_eq!(read.as_ref().map(TraceContext::parent), known.then_some(whole.as_str()), "{text}");
            assert_eq!(read.as_ref().map(TraceContext::trace_id), known.then_some(trace), "{text}");
        }
    }

    #[test]
    fn a_state_is_short_and_plain() {
        let longest = "a".repeat(TRACE_STATE_MAX);
        for (text, kept) in [
            ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")),
            (" a=1 ", Some("a=1")),
            (longest.as_str(), Some(longest.as_str())),
            (&format!("{longest}a"), None),
            ("a=\u{e9}", None),
            ("a=1\r\nb", None),
            ("", None),
        ] {
            let read = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(text)).expect("a context");
            assert_eq!(read.state(), kept, "{text:?}");
        }
    }
}
