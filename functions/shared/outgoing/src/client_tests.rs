use std::process::Command;

use super::*;
use crate::names::tests::ScriptedNames;
use crate::test_server::TestServer;

/// Time enough for this machine, and too little for what never answers.
const SHORT: Timeouts = Timeouts { connect: Duration::from_millis(80), total: Duration::from_millis(80) };

const HERE: &str = "127.0.0.1/32";

fn client(allow_list: &str) -> OutgoingClient {
    OutgoingClient::new(allow_list.parse().unwrap()).unwrap()
}

fn client_with_names(allow_list: &str, names: &Arc<ScriptedNames>, timeouts: Timeouts) -> OutgoingClient {
    OutgoingClient::build(allow_list.parse().unwrap(), names.clone(), timeouts).unwrap()
}

fn impatient_client(allow_list: &str) -> OutgoingClient {
    client_with_names(allow_list, &ScriptedNames::new(&[]), SHORT)
}

fn refusal(result: Result<Bytes, OutgoingFault>) -> &'static str {
    match result {
        Err(OutgoingFault::Refused { reason, .. }) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Makes a call that must end because its time is over.
async fn assert_given_up(client: OutgoingClient, url: &str) {
    let result = tokio::time::timeout(Duration::from_secs(1), client.get(url, 100)).await.expect("the client has a limit of its own");
    let Err(OutgoingFault::Failed(source)) = &result else { panic!("{url}: {result:?}") };
    assert!(source.downcast_ref().is_some_and(reqwest::Error::is_timeout), "{url}: {source:?}");
}

#[tokio::test]
async fn a_listed_address_is_called_over_plain_http() {
    let server = TestServer::start().await;
    server.serve("/keys", "hello");
    assert_eq!(client(HERE).get(&server.url("/keys"), 5).await.unwrap(), "hello");
    assert_eq!(server.requests(), ["/keys"]);
}

#[tokio::test]
async fn a_listed_host_is_called_wherever_its_name_leads() {
    let server = TestServer::start().await;
    server.serve("/keys", "hello");
    let client = client_with_names("idp.internal", &ScriptedNames::new(&[&["127.0.0.1"]]), TIMEOUTS);
    let body = client.get(&format!("http://IDP.internal:{}/keys", server.port()), 5).await.unwrap();
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn an_address_that_is_not_listed_is_refused_before_anything_is_sent() {
    let server = TestServer::start().await;
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://127.0.0.1:{}/", server.port());
        assert_eq!(refusal(client("").get(&url, 5).await), "the address is not public");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn no_spelling_of_an_address_gets_past_the_guard() {
    let dotted =
        ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "127.0.0.1.", "0", "0xa9fea9fe", "169.254.169.254", "１２７.0.0.1", "127。1"];
    let bracketed = ["[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[fd00:ec2::254]"];
    for host in dotted.into_iter().chain(bracketed) {
        let result = impatient_client("").get(&format!("https://{host}/"), 5).await;
        assert_eq!(refusal(result), "the address is not public", "{host}");
    }
}

#[tokio::test]
async fn a_listed_address_is_known_in_every_spelling() {
    let server = TestServer::start().await;
    server.serve("/", "hello");
    for host in ["0x7f.1", "2130706433", "127.1"] {
        assert_eq!(client(HERE).get(&format!("http://{host}:{}/", server.port()), 5).await.unwrap(), "hello", "{host}");
    }
}

#[tokio::test]
async fn a_name_with_no_public_address_is_refused_before_anything_is_sent() {
    let server = TestServer::start().await;
    let names = ScriptedNames::new(&[&["127.0.0.1", "::1", "10.0.0.1"]]);
    let result = client_with_names("", &names, TIMEOUTS).get(&format!("https://inside.example:{}/", server.port()), 5).await;
    assert_eq!(refusal(result), "it has no public address");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_look_up_that_is_checked_is_the_one_that_is_connected_to() {
    let server = TestServer::start().await;
    // Nobody listens at the second address; a look-up between check and connection would use up its answer.
    let names = ScriptedNames::new(&[&["127.0.0.1", "127.0.0.2"], &["127.0.0.2"]]);
    let client = client_with_names(HERE, &names, TIMEOUTS);
    let url = format!("https://rebinding.example:{}/", server.port());
    let first = client.get(&url, 5).await;
    assert!(matches!(first, Err(OutgoingFault::Failed(_))), "the server speaks no TLS: {first:?}");
    assert_eq!((server.connections(), names.answers_left()), (1, 1));
    assert_eq!(refusal(client.get(&url, 5).await), "it has no public address");
    assert_eq!((server.connections(), names.answers_left()), (1, 0));
}

#[tokio::test]
async fn plain_http_is_refused_unless_the_target_itself_is_listed() {
    let names = ScriptedNames::new(&[]);
    let client = client_with_names("idp.internal,127.0.0.1", &names, SHORT);
    for url in ["http://93.184.215.14/", "http://example.com/", "http://localhost/", "http://[2606:4700::1111]/"] {
        assert_eq!(refusal(client.get(url, 5).await), "only a listed host may be called over plain http", "{url}");
    }
}

#[tokio::test]
async fn urls_that_are_none_of_ours_are_refused_and_not_repeated() {
    let unreadable = ["", "example.com", "https://", "https://exa mple.com/", "https://[::1", "https://127.0.0.256/"];
    let other_schemes = ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "data:,secret", "unix:/secret"];
    let users = ["https://user@example.com/", "https://user:secret@example.com/", "https://:secret@example.com/"];
    for url in unreadable.into_iter().chain(other_schemes).chain(users) {
        let fault = impatient_client("").get(url, 5).await.unwrap_err();
        assert!(matches!(fault, OutgoingFault::BadUrl(_)), "{url}: {fault:?}");
        assert!(!fault.to_string().contains("secret"), "{fault}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = TestServer::start().await;
    server.serve("/there", "hello");
    server.serve_raw("/here", "HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let result = client(HERE).get(&server.url("/here"), 5).await;
    assert!(matches!(result, Err(OutgoingFault::Status(302))), "{result:?}");
    assert_eq!(server.requests(), ["/here"]);
}

#[tokio::test]
async fn only_200_is_success() {
    let server = TestServer::start().await;
    for status in [201, 204, 304, 404, 500] {
        server.serve_raw("/", &format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        let result = client(HERE).get(&server.url("/"), 5).await;
        assert!(matches!(result, Err(OutgoingFault::Status(got)) if got == status), "{status}: {result:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_before_its_end() {
    let server = TestServer::start().await;
    // None of these answers ever ends, so that waiting for the end would be told from refusing.
    server.stall_after("/unknown", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n123456");
    server.stall_after("/chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n");
    server.stall_after("/known", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n123456");
    for path in ["/unknown", "/chunked", "/known"] {
        let result = client(HERE).get(&server.url(path), 5).await;
        assert!(matches!(result, Err(OutgoingFault::TooLarge(5))), "{path}: {result:?}");
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_taken_and_one_byte_more_is_not() {
    let server = TestServer::start().await;
    server.serve("/", "12345");
    assert_eq!(client(HERE).get(&server.url("/"), 5).await.unwrap(), "12345");
    assert!(matches!(client(HERE).get(&server.url("/"), 4).await, Err(OutgoingFault::TooLarge(4))));
}

#[tokio::test]
async fn a_body_cut_short_is_a_failure() {
    let server = TestServer::start().await;
    server.serve_raw("/", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345");
    let result = client(HERE).get(&server.url("/"), 100).await;
    assert!(matches!(result, Err(OutgoingFault::Failed(_))), "{result:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_given_up() {
    let server = TestServer::start().await;
    server.stall_after("/silent", "");
    server.stall_after("/stuck", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345");
    for path in ["/silent", "/stuck"] {
        assert_given_up(impatient_client(HERE), &server.url(path)).await;
    }
}

#[tokio::test]
async fn a_name_that_is_not_found_in_time_is_given_up() {
    assert_given_up(impatient_client(""), "https://example.com/").await;
}

#[tokio::test]
async fn a_failure_does_not_repeat_the_url() {
    let server = TestServer::start().await;
    let url = server.url("/?token=secret");
    server.stop().await;
    let fault = impatient_client(HERE).get(&url, 5).await.unwrap_err();
    assert!(matches!(fault, OutgoingFault::Failed(_)), "{fault:?}");
    assert!(!format!("{fault:?}").contains("secret"), "{fault:?}");
}

/// Settings for a proxy come from the environment, so a process of its own has them.
#[test]
fn no_proxy_is_used_whatever_the_environment_says() {
    let test = "client::tests::a_listed_address_is_called_over_plain_http";
    let nobody = "http://127.0.0.1:1";
    let variables = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).envs(variables.map(|name| (name, nobody))).env_remove("no_proxy").env_remove("NO_PROXY");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
