//! What a request gets: a status, headers, and a body whose length is known. Every answer ends its connection, and none is
//! kept by a cache.

use std::time::SystemTime;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as `404 Not Found`.
    status: &'static str,
    kind: &'static str,
    /// Beside those that every answer has.
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// For people: one line.
    pub fn text(status: &'static str, words: &str) -> Self {
        let body = format!("{words}\n");
        Self { status, kind: "text/plain; charset=utf-8", headers: Vec::new(), body }
    }

    /// What was asked for, as JSON.
    pub fn json(body: String) -> Self {
        Self::of_kind("application/json; charset=utf-8", body)
    }

    /// What was asked for, of a media type.
    pub fn of_kind(kind: &'static str, body: String) -> Self {
        Self { status: "200 OK", kind, headers: Vec::new(), body }
    }

    /// With a header more. The value is one line.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn status(&self) -> &'static str {
        self.status
    }

    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(self.body.as_bytes());
        bytes
    }

    /// Its head alone, which is what HEAD gets.
    pub fn head(&self) -> Vec<u8> {
        let headers = self.headers.iter().map(|(name, value)| (*name, value.clone()));
        head(self.status, self.kind, headers.chain([("Content-Length", self.body.len().to_string())]))
    }

    /// The head in front of a body that lasts as long as its connection, of a media type.
    pub fn endless(kind: &str) -> Vec<u8> {
        head("200 OK", kind, [].into_iter())
    }
}

fn head(status: &str, kind: &str, headers: impl Iterator<Item = (&'static str, String)>) -> Vec<u8> {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut head = format!("HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: {kind}\r\n");
    headers.for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    head += "Cache-Control: no-store\r\nConnection: close\r\n\r\n";
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_date(bytes: &[u8]) -> String {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
    }

    #[test]
    fn every_answer_says_how_long_it_is_and_ends_its_connection() {
        let answer = Answer::text("404 Not Found", "nothing is here").with("Retry-After", 2);
        let head = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 2\r\n\
                    Content-Length: 16\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
        assert_eq!(without_date(&answer.head()), head);
        assert_eq!(without_date(&answer.to_bytes()), format!("{head}nothing is here\n"));
        assert_eq!(answer.to_bytes().windows(2).filter(|pair| pair == b"\r\n").count(), 8);
    }

    #[test]
    fn what_has_no_end_states_no_length() {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
        assert_eq!(without_date(&Answer::endless("video/mp2t")), head);
    }
}
