//! What is said, as a value, as JSON, and over HTTP.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use std::fmt::Write as _;
use std::time::Duration;

/// How it is. The later of two is the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Pass,
    /// Something is missing, and requests are welcome all the same.
    Warn,
    /// Not to be counted on.
    Fail,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The worst of all.
    pub status: Status,
    /// What is wrong, where it is not a dependency: `starting`, `draining`.
    pub output: Option<&'static str>,
    /// Each dependency, if they were asked.
    pub checks: Vec<Seen>,
}

/// A dependency, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: &'static str,
    /// `fail` where it is critical and did not answer well, `warn` where it is optional.
    pub status: Status,
    /// How long it took to answer, or how long it was waited for.
    pub took: Duration,
    /// What was wrong. Goes out as it is, so by [`masked`].
    pub output: Option<String>,
}

impl Status {
    /// As it is written: `pass`, `warn`, `fail`.
    pub fn name(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Warn => "warn",
            Status::Fail => "fail",
        }
    }
}

impl Report {
    /// All is well, and nobody was asked.
    pub fn pass() -> Report {
        Report { status: Status::Pass, output: None, checks: Vec::new() }
    }

    /// Not there, for a reason of its own.
    pub fn fail(output: &'static str) -> Report {
        Report { status: Status::Fail, output: Some(output), checks: Vec::new() }
    }

    /// Of these dependencies: the worst of them.
    pub fn of(checks: Vec<Seen>) -> Report {
        let status = checks.iter().map(|seen| seen.status).max().unwrap_or(Status::Pass);
        Report { status, output: None, checks }
    }

    /// In the shape of draft-inadarei-api-health-check-06: `status`, `output`, and under `checks`,
    /// for each dependency, `NAME:responseTime` with `observedValue` in milliseconds, to the
    /// microsecond. Those of one name, such as the nodes of a cluster, are a list under it.
    pub fn json(&self) -> String {
        let mut json = format!(r#"{{"status":"{}""#, self.status.name());
        if let Some(output) = self.output {
            let _ = write!(json, r#","output":{}"#, quoted(output));
        }
        // A name that stood twice in an object would be read once, and hide the other: RFC 8259,
        // section 4.
        let mut names: Vec<(&str, Vec<String>)> = Vec::new();
        for seen in &self.checks {
            match names.iter_mut().find(|(name, _)| *name == seen.name) {
                Some((_, list)) => list.push(seen.json()),
                None => names.push((seen.name, vec![seen.json()])),
            }
        }
        for (nth, (name, list)) in names.iter().enumerate() {
            json.push_str(if nth == 0 { r#","checks":{"# } else { "," });
            let name = quoted(&format!("{name}:responseTime"));
            let _ = write!(json, "{name}:[{}]", list.join(","));
        }
        json.push_str(if names.is_empty() { "}" } else { "}}" });
        json
    }

    /// With the status that a load balancer understands: 503 says "not at the moment" (RFC 9110,
    /// section 15.6.4), and 200 is for all who may be sent requests.
    pub(super) fn response(&self) -> Response<String> {
        // Whoever reads it in a terminal has the next line for themselves.
        let mut response = Response::new(self.json() + "\n");
        *response.status_mut() = match self.status {
            Status::Pass | Status::Warn => StatusCode::OK,
            Status::Fail => StatusCode::SERVICE_UNAVAILABLE,
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/health+json"));
        // A proxy in between would remember that all was well.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl Seen {
    fn json(&self) -> String {
        let (status, millis) = (self.status.name(), self.took.as_secs_f64() * 1e3);
        let mut json =
            format!(r#"{{"status":"{status}","observedValue":{millis:.3},"observedUnit":"ms""#);
        if let Some(output) = &self.output {
            let _ = write!(json, r#","output":{}"#, quoted(output));
        }
        json.push('}');
        json
    }
}

/// A string as JSON writes it: RFC 8259, section 7.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// An error's text as it may go out: one line, at most 200 characters, and without what URLs and
/// connection strings say about who logs in: `redis://shop:…@cache`, `?pass=…`, `password=…`.
///
/// A health endpoint is often open to more people than its author believes, and a driver that
/// cannot connect likes to say where to. This is a net and not a licence: an error that holds a
/// secret in any other form shows it.
pub fn masked(error: &str) -> String {
    let mut out = String::new();
    // A secret ends where its word does. One that has a blank in it is escaped in a URL.
    for word in error.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        mask_word(word, &mut out);
    }
    match out.char_indices().nth(199) {
        Some((end, _)) if out[end..].chars().nth(1).is_some() => format!("{}…", &out[..end]),
        _ => out,
    }
}

fn mask_word(word: &str, out: &mut String) {
    let mut rest = word;
    if let Some((scheme, login)) = rest.split_once("://") {
        // To the last @: one may stand in a password, and none in a host. In the query, too, but
        // who writes one there hides a little more.
        if let Some((_, host)) = login.rsplit_once('@') {
            let _ = write!(out, "{scheme}://…@");
            rest = host;
        }
    }
    for (nth, part) in rest.split_inclusive(['?', '&', ';', ',']).enumerate() {
        let name = part.split('=').next().unwrap_or_default().to_lowercase();
        let secret = name.contains("pass") || name.contains("secret") || name.contains("token");
        match part.split_once('=') {
            Some((name, value)) if secret && (nth > 0 || !value.is_empty()) => {
                let end = value.strip_suffix(['?', '&', ';', ',']).map(|v| &value[v.len()..]);
                let _ = write!(out, "{name}=…{}", end.unwrap_or_default());
            }
            _ => out.push_str(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_json() {
        assert_eq!(Report::pass().json(), r#"{"status":"pass"}"#);
        assert_eq!(Report::fail("draining").json(), r#"{"status":"fail","output":"draining"}"#);
        let seen = |name, status, output: Option<&str>| Seen {
            name,
            status,
            took: Duration::from_micros(1_500),
            output: output.map(str::to_owned),
        };
        let report = Report::of(vec![
            seen("database", Status::Pass, None),
            seen("redis", Status::Warn, Some("a \"quote\",\na line")),
        ]);
        assert_eq!(
            report.json(),
            "{\"status\":\"warn\",\"checks\":{\
             \"database:responseTime\":[{\"status\":\"pass\",\"observedValue\":1.500,\
             \"observedUnit\":\"ms\"}],\
             \"redis:responseTime\":[{\"status\":\"warn\",\"observedValue\":1.500,\
             \"observedUnit\":\"ms\",\"output\":\"a \\\"quote\\\",\\u000aa line\"}]}}"
        );
    }

    #[test]
    fn two_of_one_name_are_both_told() {
        let seen = |name, status| Seen { name, status, took: Duration::ZERO, output: None };
        let report = Report::of(vec![
            seen("redis", Status::Fail),
            seen("database", Status::Pass),
            seen("redis", Status::Pass),
        ]);
        let one = |status| {
            format!(r#"{{"status":"{status}","observedValue":0.000,"observedUnit":"ms"}}"#)
        };
        let expected = format!(
            r#"{{"status":"fail","checks":{{"redis:responseTime":[{},{}],"database:responseTime":[{}]}}}}"#,
            one("fail"),
            one("pass"),
            one("pass")
        );
        assert_eq!(report.json(), expected);
    }

    #[test]
    fn a_load_balancer_reads_the_status() {
        for (status, code) in [(Status::Pass, 200), (Status::Warn, 200), (Status::Fail, 503)] {
            let response = Report { status, ..Report::pass() }.response();
            assert_eq!(response.status().as_u16(), code);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/health+json");
        }
    }

    #[test]
    fn who_logs_in_stays_inside() {
        for (error, shown) in [
            ("no route to redis://shop:hunter2@cache:6379/0", "no route to redis://…@cache:6379/0"),
            ("redis://:p@ss@cache: refused", "redis://…@cache: refused"),
            ("redis+unix:///r.sock?db=0&pass=hunter2", "redis+unix:///r.sock?db=0&pass=…"),
            (
                "postgres://h/shop?password=x&sslmode=off",
                "postgres://h/shop?password=…&sslmode=off",
            ),
            ("host=db user=shop password=hunter2", "host=db user=shop password=…"),
            ("ECONNREFUSED 127.0.0.1:6379", "ECONNREFUSED 127.0.0.1:6379"),
            ("the password is wrong", "the password is wrong"),
            ("two\nlines", "two lines"),
        ] {
            assert_eq!(masked(error), shown);
        }
        assert_eq!(masked(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(masked(&"é".repeat(201)), format!("{}…", "é".repeat(199)));
    }
}
