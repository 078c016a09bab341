//! What customers were told.
//!
//! | request | answer |
//! | --- | --- |
//! | `PUT /notifications/{order}` | the mail is with the mail server: the [`Notification`] |
//! | `GET /notifications/{order}` | the [`Notification`], whatever has become of it |
//! | `GET /events/{order}` | what was said about it: each [`Said`] |

use http::Method;
use serde::{Deserialize, Serialize};

use crate::Peer;
use crate::event::Said;
use crate::id::{CustomerId, OrderId};
use crate::money::Money;
use crate::problem::Problem;

/// That an order is confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Whom to tell. Their address is asked of the users service.
    pub customer: CustomerId,
    /// What they pay.
    pub total: Money,
}

/// What has become of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not with the mail server yet, or nobody knows.
    Pending,
    /// With the mail server.
    Sent,
    /// The mail server did not take it. The order stands all the same.
    Failed,
}

/// A mail about an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The order.
    pub order: OrderId,
    /// What has become of it.
    pub state: State,
}

/// Asks the notifications service.
#[derive(Clone, Debug)]
pub struct Client(pub Peer);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Client {
    pub async fn confirm(
        &self,
        order: OrderId,
        confirmation: &Confirmation,
    ) -> Result<Notification, Problem> {
        self.0.call(Method::PUT, &format!("/notifications/{order}"), Some(confirmation)).await
    }

    pub async fn notification(&self, order: OrderId) -> Result<Notification, Problem> {
        self.0.get(&format!("/notifications/{order}")).await
    }

    /// What the service has said about `order`, for as long as it is kept.
    pub async fn events(&self, order: OrderId) -> Result<Vec<Said>, Problem> {
        self.0.get(&format!("/events/{order}")).await
    }
}
