//! What caches found and how old copies are, for Prometheus: stores count, and know nothing of who measures.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use store_postgres::PgStore;
use store_redis::RedisStore;

/// Where carts, and all else, are kept elsewhere and copied here.
#[derive(Clone, Debug)]
pub struct Copied {
    pub redis: RedisStore,
    pub postgres: PgStore,
}

pub fn register(registry: &mut Registry, copied: Copied) {
    registry.register_collector(Box::new(copied));
}

impl Collector for Copied {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Carts and sessions that were looked for, by level and what was found";
        let mut family = encoder.encode_descriptor("cache_requests", help, None, MetricType::Counter)?;
        for at in self.redis.looked() {
            for (result, count) in [("hit", at.looked.hits), ("miss", at.looked.misses), ("stale", at.looked.stale)] {
                let labels = [("level", at.level), ("of", at.of), ("result", result)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "How old the copy of catalog, prices and levels of stock in memory is at most";
        let age = encoder.encode_descriptor("catalog_copy_age", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        ConstGauge::new(self.postgres.copy_age().as_secs_f64()).encode(age)
    }
}
