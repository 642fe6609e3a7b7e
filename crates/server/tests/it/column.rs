//! Where a store under test keeps what it has: the same tests run on both.

use crate::scale;
use crate::shop::{Shop, binary};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// One process, one directory.
    Embedded,
    /// Three nodes behind a balancer, on Redis, PostgreSQL and RabbitMQ.
    AtScale,
}

impl Column {
    /// Starts the store that belongs to this directory and waits until it is ready.
    pub fn start(self, dir: &Path, variables: &[(&str, &str)]) -> Shop {
        self.try_start(dir, variables).expect("the store gets ready")
    }

    pub fn try_start(self, dir: &Path, variables: &[(&str, &str)]) -> Result<Shop, String> {
        match self {
            Self::Embedded => Shop::try_start(dir, variables),
            Self::AtScale => scale::try_start(scale::engines(), &binary(), dir, variables),
        }
    }

    /// As often as that, or less often where everything takes longer.
    pub fn fewer(self, often: usize, at_scale: usize) -> usize {
        match self {
            Self::Embedded => often,
            Self::AtScale => at_scale,
        }
    }
}

/// Each of these tests in both columns.
#[macro_export]
macro_rules! on_both {
    ($($test:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::column::Column::Embedded).await;
            })*
        }

        mod at_scale {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::column::Column::AtScale).await;
            })*
        }
    };
}
