//! What caches found, for Prometheus: stores count, and know nothing of who measures.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use store_redis::RedisStore;

#[derive(Debug)]
struct Caches(RedisStore);

pub fn register(registry: &mut Registry, redis: RedisStore) {
    registry.register_collector(Box::new(Caches(redis)));
}

impl Collector for Caches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Carts and sessions that were looked for, by level and what was found";
        let mut family = encoder.encode_descriptor("cache_requests", help, None, MetricType::Counter)?;
        for at in self.0.looked() {
            for (result, count) in [("hit", at.looked.hits), ("miss", at.looked.misses), ("stale", at.looked.stale)] {
                let labels = [("level", at.level), ("of", at.of), ("result", result)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
