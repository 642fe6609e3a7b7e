//! What went wrong, as gRPC says it: both directions side by side.

use app::ports::{DidItHappen, PortError, PortErrorKind};
use outbound::Failed;
use std::error::Error;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, ConnectError, Status, TimeoutExpired};

/// In what a node answers when it knows that nothing has happened.
const NOTHING_HAPPENED: &str = "cartwright-nothing-happened";

/// What a node that holds the catalog answers when its store did not work.
pub fn status(error: &PortError) -> Status {
    let code = match (error.kind, error.did_it_happen) {
        (_, DidItHappen::Unknown) => Code::Unknown,
        (PortErrorKind::Unavailable | PortErrorKind::Timeout, DidItHappen::No) => Code::Unavailable,
        (PortErrorKind::Full, DidItHappen::No) => Code::ResourceExhausted,
        (PortErrorKind::Corrupt, DidItHappen::No) => Code::DataLoss,
    };
    let mut status = Status::new(code, error.to_string());
    if error.did_it_happen == DidItHappen::No {
        status.metadata_mut().insert(NOTHING_HAPPENED, MetadataValue::<Ascii>::from_static("1"));
    }
    status
}

/// What that means to the node that asked.
pub fn failed(status: Status) -> Failed {
    let nothing_happened = status.metadata().contains_key(NOTHING_HAPPENED);
    match status.code() {
        Code::Unavailable if nothing_happened || never_left(&status) => Failed::unheard(status),
        Code::ResourceExhausted if nothing_happened => Failed::refused(PortErrorKind::Full, status),
        Code::DataLoss if nothing_happened => Failed::refused(PortErrorKind::Corrupt, status),
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => Failed::refused(PortErrorKind::Unavailable, status),
        Code::InvalidArgument | Code::OutOfRange => Failed::nonsense(status),
        Code::DeadlineExceeded => Failed::on_the_way(PortErrorKind::Timeout, status),
        // The transport has the deadline as well, and says it in its own way.
        _ if caused_by::<TimeoutExpired>(&status) => Failed::on_the_way(PortErrorKind::Timeout, status),
        _ => Failed::on_the_way(PortErrorKind::Unavailable, status),
    }
}

/// There was no connection to send it on.
fn never_left(status: &Status) -> bool {
    caused_by::<ConnectError>(status)
}

fn caused_by<E: Error + 'static>(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
}
