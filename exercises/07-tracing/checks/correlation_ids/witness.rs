//! A service that remembers which ids stood in the requests that it got.

use super::door::Door;
use super::log::Names;
use super::scene::{Scene, told};
use axum::body::Body;
use grading::{Evidence, Finding};
use http::{Response, StatusCode};
use observability::correlation_ids::REQUEST_ID;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Default)]
pub(super) struct Witness {
    seen: Arc<Mutex<Vec<Vec<String>>>>,
    names: Names,
}

impl Witness {
    pub(super) fn in_scene(scene: &Scene) -> Witness {
        Witness { seen: Arc::default(), names: scene.names.clone() }
    }

    /// Logs "works", and answers with 200.
    pub(super) fn door(&self) -> Door {
        self.answering(StatusCode::OK, &[])
    }

    /// Answers with this status, and with these ids of its own making.
    pub(super) fn answering(&self, status: StatusCode, own: &'static [&'static str]) -> Door {
        let witness = self.clone();
        Door::checkout(move |request| {
            let ids = told(request.headers());
            witness.seen.lock().unwrap_or_else(PoisonError::into_inner).push(ids);
            async move {
                tracing::info!("works");
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = status;
                for id in own {
                    answer.headers_mut().append(REQUEST_ID, http::HeaderValue::from_static(id));
                }
                answer
            }
        })
    }

    /// The ids of the last request.
    pub(super) fn last(&self) -> Option<Vec<String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    /// The last request carried this id, and no other.
    pub(super) fn saw(&self, lane: &str, scene: &Scene, id: &str) -> Result<(), Finding> {
        let saw = match self.last() {
            None => "no request".to_owned(),
            Some(ids) if ids == [id] => return Ok(()),
            Some(ids) if ids.is_empty() => "none".to_owned(),
            Some(ids) => {
                let names: Vec<String> = ids.iter().map(|id| self.names.of(id)).collect();
                names.join(", and ")
            }
        };
        let expected =
            format!("one x-request-id in the request that {lane} sees: {}", self.names.of(id));
        let step = scene.world.history().last(lane, "");
        Err(Evidence::new(expected, saw).at(step).into())
    }
}
