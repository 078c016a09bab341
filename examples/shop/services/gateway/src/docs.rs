//! The description of the API, from the code, and the page that shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use shop_contracts::Problem;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, ResponseBuilder, response::Response};
use utoipa::{IntoResponses, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::Gateway;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "The shop",
        description = "The reference shop of the Distributed Systems Sandbox. Every refusal is a problem detail \
            (RFC 9457). Money is in minor units. How much a client may ask for stands in RateLimit \
            and RateLimit-Policy of each answer; a checkout costs 40, a login 10, a write 4, a read 1.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    modifiers(&Bearer),
)]
struct Description;

/// Tokens, as `POST /api/tokens` gives them.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let mut http = Http::new(HttpAuthScheme::Bearer);
        http.bearer_format = Some("JWT".into());
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(http));
    }
}

/// What any request may be answered with instead.
pub(crate) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let problem = |what: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
            let content = content.build();
            let response = ResponseBuilder::new().description(what);
            RefOr::T(response.content("application/problem+json", content).build())
        };
        let header = |what: &str| {
            let mut header = Header::new(Object::with_type(Type::String));
            header.description = Some(what.to_owned());
            header
        };
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let unavailable = ResponseBuilder::new()
            .description("Something that this needs does not answer, or is not asked for now")
            .content("application/problem+json", content.clone())
            .header("Retry-After", header("In how many seconds to try again, where that is known"));
        let too_much = ResponseBuilder::new()
            .description("The client's quota is used up")
            .content("application/problem+json", content)
            .header("Retry-After", header("In how many seconds the same request succeeds"))
            .header("RateLimit", header("What is left: draft-ietf-httpapi-ratelimit-headers-11"))
            .header("RateLimit-Policy", header("The quota, as in that draft"));
        BTreeMap::from([
            ("429".into(), RefOr::T(too_much.build())),
            ("4XX".into(), problem("The request is wrong; `errors` says where")),
            ("503".into(), RefOr::T(unavailable.build())),
            ("5XX".into(), problem("The shop is to blame; the same may work in a moment")),
        ])
    }
}

/// An empty API with the description's head.
pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::with_openapi(Description::openapi())
}

/// The description at `/openapi.json`, and a page to read and try it at `/docs`.
pub(crate) fn pages(description: utoipa::openapi::OpenApi) -> Router {
    SwaggerUi::new("/docs").url("/openapi.json", description).into()
}
