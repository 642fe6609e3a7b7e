//! Rate, errors, duration by route, for Prometheus. Handles are made once a route: the hot path adds to
//! atomics.

use app::ports::Overdue;
use axum::http::{Method, StatusCode};
use domain::time::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    method: String,
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OverdueLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EngineLabels {
    engine: &'static str,
}

type Durations = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// From half a millisecond to ten seconds.
fn durations() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    answers: Family<AnswerLabels, Counter>,
    durations: Durations,
    problems: Family<CodeLabels, Counter>,
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    overdue: Family<OverdueLabels, Gauge>,
    overdue_age: Gauge,
    engines: Family<EngineLabels, Gauge>,
    pub(crate) limits_alone: Counter,
}

impl Metrics {
    /// Adds the edge's metrics to those already registered.
    pub fn new(mut registry: Registry) -> Self {
        let answers = Family::<AnswerLabels, Counter>::default();
        let durations = Durations::new_with_constructor(durations);
        let problems = Family::<CodeLabels, Counter>::default();
        let (in_flight, connections, connections_refused) = (Gauge::default(), Gauge::default(), Counter::default());
        registry.register("http_requests", "Requests answered, by route and class of status", answers.clone());
        registry.register("http_request_duration_seconds", "Time to answer, by route", durations.clone());
        registry.register("http_problems", "Problems told, by code", problems.clone());
        registry.register("http_requests_in_flight", "Requests being answered", in_flight.clone());
        registry.register("http_connections", "Open connections", connections.clone());
        registry.register("http_connections_refused", "Connections closed because there were too many", connections_refused.clone());
        let (overdue, overdue_age) = (Family::<OverdueLabels, Gauge>::default(), Gauge::default());
        registry.register("saga_overdue", "Checkouts and orders that wait to be driven on, by kind", overdue.clone());
        registry.register("saga_overdue_age_seconds", "For how long the first of them has waited", overdue_age.clone());
        let engines = Family::<EngineLabels, Gauge>::default();
        registry.register("engine_reached", "1 while what the store is kept in can be reached from this node", engines.clone());
        let limits_alone = Counter::default();
        registry.register(
            "limits_alone",
            "Times this node went by its own limits because the shared ones did not answer",
            limits_alone.clone(),
        );
        Self {
            registry,
            answers,
            durations,
            problems,
            in_flight,
            connections,
            connections_refused,
            overdue,
            overdue_age,
            engines,
            limits_alone,
        }
    }

    pub(crate) fn reached(&self, engine: &'static str, reached: bool) {
        self.engines.get_or_create(&EngineLabels { engine }).set(i64::from(reached));
    }

    /// What waits to be driven on, as of `now`. To be told every few seconds.
    pub(crate) fn overdue(&self, overdue: &Overdue, now: Timestamp) {
        let set = |kind, n| self.overdue.get_or_create(&OverdueLabels { kind }).set(i64::try_from(n).unwrap_or(i64::MAX));
        set("checkout", overdue.checkouts);
        set("order", overdue.orders);
        let age = overdue.since.map_or(0, |since| since.until(now).as_secs());
        self.overdue_age.set(i64::try_from(age).unwrap_or(i64::MAX));
    }

    /// The handles of one route.
    pub(crate) fn route(&self, method: &Method, route: &'static str) -> RouteMetrics {
        let method = method.as_str().to_owned();
        let answers = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .map(|status| self.answers.get_or_create_owned(&AnswerLabels { method: method.clone(), route, status }));
        RouteMetrics { answers, durations: self.durations.get_or_create_owned(&RouteLabels { method, route }) }
    }

    pub(crate) fn problem(&self, code: &'static str) {
        self.problems.get_or_create(&CodeLabels { code }).inc();
    }

    /// All metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("invariant: writing to a string cannot fail");
        text
    }
}

#[derive(Debug)]
pub(crate) struct RouteMetrics {
    answers: [Counter; 5],
    durations: Histogram,
}

impl RouteMetrics {
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.answers[class].inc();
        self.durations.observe(took.as_secs_f64());
    }
}
