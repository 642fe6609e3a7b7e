//! A broker that is spoken to over TLS.

use crate::broker::{OwnBroker, PATIENCE, free_ports};
use app::ports::Bus;
use bus_rabbit::{RabbitBus, RabbitSettings};
use conformance::fixtures::{START, cart_of, guest};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A certificate for this address, signed by itself; where it is, beside its key.
fn certificate(dir: &Path) -> PathBuf {
    let (key, certificate) = (dir.join("key.pem"), dir.join("cert.pem"));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test"]);
    make.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]);
    let made = make.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // The broker may run as somebody else.
    drop(Command::new("chmod").arg("-R").arg("a+rX").arg(dir).status());
    certificate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_the_other_side_of_tls_is_checked() {
    let (dir, other) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let (own, stranger) = (certificate(dir.path()), certificate(other.path()));
    let [port] = free_ports();
    let key = dir.path().join("key.pem");
    let lines = [
        format!("listeners.ssl.default = 127.0.0.1:{port}"),
        format!("ssl_options.certfile = {}", own.display()),
        format!("ssl_options.keyfile = {}", key.display()),
        "ssl_options.verify = verify_none".to_owned(),
    ];
    let _broker = OwnBroker::start_in(dir, &(lines.join("\n") + "\n"));
    let settings = |ca_file: Option<PathBuf>| RabbitSettings {
        ca_file,
        publish_within: Duration::from_secs(10),
        ..RabbitSettings::new([format!("amqps://guest:guest@127.0.0.1:{port}/%2f")])
    };
    let events = cart_of(1, guest(1), START).events;
    let known = RabbitBus::connect(settings(Some(own))).await.expect("settings that can work");
    let began = Instant::now();
    while let Err(error) = known.publish(&events).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for nobody in [None, Some(stranger)] {
        let bus = RabbitBus::connect(settings(nobody)).await.expect("settings that can work");
        let mut told = String::new();
        // Between two tries there is a pause, in which nothing is known.
        while !told.contains("certificate") {
            assert!(began.elapsed() < PATIENCE, "{told}");
            told = bus.publish(&events).await.expect_err("nobody vouches for it").to_string();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!bus.is_up().await);
    }
}
