//! Failures on their way out: handlers say what is wrong, the outermost layer renders it for the request.

use app::ports::PortError;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::refusal::Refusal;
use std::sync::Arc;
use wire::Invalid;
use wire::problem::Problem;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    problem: Box<Problem>,
    /// For the log, not for the client.
    cause: Option<Box<PortError>>,
    headers: HeaderMap,
}

pub(crate) type Answer = Result<Response, Failure>;

/// A failure waiting in a response's extensions to be rendered.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub problem: Arc<Problem>,
    pub cause: Option<Arc<PortError>>,
}

impl Failure {
    pub(crate) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(status, code, detail).into()
    }

    pub(crate) fn with(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// A bug: it is in the log, the client learns no more.
    pub(crate) fn internal() -> Self {
        Self::new(500, "INTERNAL", "Something is wrong here. It has been noted.")
    }

    /// A panic is the end of one request, not of others.
    pub(crate) fn panicked() -> Self {
        tracing::error!("a handler panicked");
        Self::internal()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), cause: None, headers: HeaderMap::new() }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Problem::from(invalid).into()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Problem::from(&refusal).into()
    }
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        match error {
            app::Error::Refused(refusal) => refusal.into(),
            app::Error::Port(error) => {
                let failure = Self::from(Problem::from(&error));
                Self { cause: Some(Box::new(error)), ..failure }
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(Told { problem: Arc::new(*self.problem), cause: self.cause.map(|c| Arc::new(*c)) });
        response
    }
}
