use crate::limits::{TOKEN_MAX, TOKEN_MIN};
use app::trace;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use domain::trace::TraceContext;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

const AUTHORIZATION: &str = "authorization";

/// The secret by which nodes of one shop know each other.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Token {
    /// Visible ASCII, not short.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        let value = format!("Bearer {text}").parse().ok().filter(|_| sound);
        value.map(|mut value: MetadataValue<Ascii>| {
            value.set_sensitive(true);
            Self(value)
        })
    }
}

/// Shows the token with every call, and the trace it belongs to.
#[derive(Clone, Debug)]
pub struct Shown(pub Token);

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(AUTHORIZATION, self.0.0.clone());
        for (name, text) in trace().iter().flat_map(TraceContext::fields) {
            if let Ok(value) = text.parse() {
                request.metadata_mut().insert(name, value);
            }
        }
        Ok(request)
    }
}

/// Refuses calls without the token.
#[derive(Clone, Debug)]
pub struct Wanted(pub Token);

impl Interceptor for Wanted {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get(AUTHORIZATION);
        let same = |shown: &MetadataValue<Ascii>| verify_slices_are_equal(shown.as_bytes(), self.0.0.as_bytes()).is_ok();
        if shown.is_some_and(same) { Ok(request) } else { Err(Status::unauthenticated("the token of this shop's nodes is needed")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::traced;
    use domain::trace::TraceContext;

    #[test]
    fn a_token_is_long_and_visible() {
        for (text, sound) in
            [("0123456789abcdef", true), ("0123456789abcde", false), ("0123456789 abcdef", false), ("0123456789abcdéf", false), ("", false)]
        {
            assert_eq!(Token::parse(text).is_some(), sound, "{text}");
        }
    }

    #[tokio::test]
    async fn a_call_is_in_the_trace_of_what_makes_it() {
        let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("a=1"));
        let shown = || async { Shown(Token::parse("0123456789abcdef").expect("a token")).call(Request::new(())).expect("shown") };
        for trace in [None, trace] {
            let call = traced(trace.clone(), shown()).await;
            let told = ["traceparent", "tracestate"].map(|name| call.metadata().get(name).and_then(|value| value.to_str().ok()));
            assert_eq!(told, [trace.as_ref().map(TraceContext::parent), trace.as_ref().and_then(TraceContext::state)]);
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", Token::parse("0123456789abcdef")), "Some(***)");
    }

    #[test]
    fn only_the_same_token_passes() {
        let token = |text| Token::parse(text).expect("a token");
        let mut wanted = Wanted(token("0123456789abcdef"));
        let shown = |text| Shown(token(text)).call(Request::new(())).expect("shown");
        assert!(wanted.call(shown("0123456789abcdef")).is_ok());
        assert!(wanted.call(shown("0123456789abcdeg")).is_err());
        assert!(wanted.call(Request::new(())).is_err());
    }
}
