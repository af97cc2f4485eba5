use http::{HeaderValue, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::fixture::{SECOND, request, spec};

/// A server for one connection: once a head has arrived, `then` receives the socket and the head.
async fn serve<T, F>(then: impl FnOnce(TcpStream, Vec<u8>) -> F + Send + 'static) -> (Key, JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let key = Key { address: listener.local_addr().unwrap(), name: None };
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        then(socket, head).await
    });
    (key, served)
}

async fn connect(key: &Key, spec: &Spec, request: &UpstreamRequest) -> Connection {
    let wire = Wire::plain(key.address, SECOND).await.unwrap();
    Connection::send(wire, key.clone(), spec, request, SECOND).await.unwrap()
}

/// Writes `answer` in chunks of that many bytes, and keeps or closes the connection.
async fn answered(
    request: &UpstreamRequest,
    answer: &'static [u8],
    piece: usize,
    closes: bool,
) -> Connection {
    let (key, _served) = serve(async move |mut socket, _| {
        for piece in answer.chunks(piece) {
            socket.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        if !closes {
            // Until the other side closes.
            let _end = socket.read_u8().await;
        }
    })
    .await;
    connect(&key, &spec(1), request).await
}

async fn body(connection: &mut Connection) -> Result<Vec<u8>, UpstreamError> {
    let mut all = vec![];
    while let Some(bytes) = connection.next().await? {
        assert!(!bytes.is_empty());
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn a_body_ends_where_its_framing_says_however_it_arrives() {
    let head = UpstreamRequest { method: Method::HEAD, ..request("a") };
    let get = request("a");
    for (request, answer, expected, is_kept) in [
        (&get, &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"[..], Ok("abcde"), true),
        (&get, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(""), true),
        (&get, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde", Ok("abcde"), false),
        (&get, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", Err(UpstreamError::Closed), false),
        (&get, b"HTTP/1.1 200 OK\r\n\r\nabcde", Ok("abcde"), false),
        (&get, b"HTTP/1.0 200 OK\r\n\r\nabcde", Ok("abcde"), false),
        (
            &get,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            Ok("abcde"),
            true,
        ),
        (
            &get,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Err(UpstreamError::Closed),
            false,
        ),
        (
            &get,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde",
            Err(UpstreamError::Protocol),
            false,
        ),
        (&get, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Ok(""), true),
        (&head, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Ok(""), true),
        (&head, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(""), true),
    ] {
        for piece in [1, 7, 1000] {
            let closes = expected.is_err() || !is_kept;
            let mut connection = answered(request, answer, piece, closes).await;
            let text = format!("{} by {piece}", answer.escape_ascii());
            connection.head().await.unwrap();
            let read = body(&mut connection).await;
            assert_eq!(read, expected.map(|body| body.as_bytes().to_vec()), "{text}");
            let idle = Idle::new(1);
            let key = connection.key.clone();
            connection.release(&idle);
            assert_eq!(idle.take(&key).is_some(), is_kept, "{text}");
        }
    }
}

#[tokio::test]
async fn bytes_behind_a_response_close_the_connection() {
    let answer =
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcdeHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut connection = answered(&request("a"), answer, 1000, false).await;
    connection.head().await.unwrap();
    assert_eq!(body(&mut connection).await.unwrap(), b"abcde");
    let (idle, key) = (Idle::new(1), connection.key.clone());
    connection.release(&idle);
    assert!(idle.take(&key).is_none());
}

#[tokio::test]
async fn heads_come_one_after_the_other() {
    let answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    for piece in [1, 1000] {
        let mut connection = answered(&request("a"), answer, piece, false).await;
        let hints = connection.head().await.unwrap();
        assert_eq!(
            (hints.status, &hints.headers["link"]),
            (StatusCode::EARLY_HINTS, &HeaderValue::from_static("</a>"))
        );
        assert_eq!(connection.head().await.unwrap().status, StatusCode::NOT_FOUND);
        assert_eq!(body(&mut connection).await.unwrap(), b"no");
    }
}

#[tokio::test]
async fn silence_a_close_and_another_protocol_are_different_errors() {
    for (answer, closes, expected) in [
        (&b""[..], false, UpstreamError::FirstByteTimeout),
        (b"HTTP/1.1 200 OK\r\nContent-", false, UpstreamError::FirstByteTimeout),
        (b"", true, UpstreamError::Closed),
        (b"HTTP/1.1 200 OK\r\nContent-", true, UpstreamError::Closed),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", true, UpstreamError::Protocol),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            false,
            UpstreamError::Protocol,
        ),
    ] {
        let mut connection = answered(&request("a"), answer, 1000, closes).await;
        assert_eq!(connection.head().await.unwrap_err(), expected, "{}", answer.escape_ascii());
    }
    let mut stalls =
        answered(&request("a"), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", 1000, false).await;
    stalls.head().await.unwrap();
    assert_eq!(body(&mut stalls).await, Err(UpstreamError::Stalled));
}

#[tokio::test]
async fn pieces_take_no_more_memory_than_they_have_bytes() {
    const LEN: usize = 1 << 20;
    let (more, served) = {
        let (more, mut next) = tokio::sync::mpsc::channel::<usize>(1);
        let served = serve(async move |mut socket, _| {
            socket
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            while let Some(len) = next.recv().await {
                socket.write_all(&vec![7; len]).await.unwrap();
            }
        });
        (more, served.await)
    };
    let mut connection = connect(&served.0, &spec(1), &request("a")).await;
    connection.head().await.unwrap();
    for _ in 0..10 {
        more.send(100).await.unwrap();
        let small = connection.next().await.unwrap().unwrap();
        assert_eq!(small.try_into_mut().unwrap().capacity(), 100, "a small piece leaves its buffer");
    }
    more.send(LEN - 1000).await.unwrap();
    let (mut pieces, mut left) = (vec![], LEN - 1000);
    while let Some(piece) = connection.next().await.unwrap() {
        assert!(piece.len() <= BUFFER + 1);
        left -= piece.len();
        pieces.push(piece);
    }
    assert_eq!((left, pieces.iter().flatten().all(|byte| *byte == 7)), (0, true));
    drop(connection);
    let alone = pieces.into_iter().filter_map(|piece| piece.try_into_mut().ok());
    let unused: usize = alone.map(|piece| piece.capacity() - piece.len()).sum();
    assert!(unused <= LEN / 4, "{unused} bytes are held and not used");
}

#[tokio::test]
async fn a_request_has_its_fields_in_their_order() {
    let mut spec = spec(1);
    spec.address = "http://127.0.0.1:1/base".parse().unwrap();
    spec.headers.insert("x-token", HeaderValue::from_static("own"));
    spec.headers.insert("accept", HeaderValue::from_static("all"));
    let mut request = request("a").as_backup();
    request.path_and_query = "/live/a?_HLS_msn=1".to_owned();
    for (name, value) in
        [("range", "bytes=0-1"), ("x-token", "viewer"), ("x-token", "again"), ("via", "a"), ("via", "b")]
    {
        request.headers.append(name, HeaderValue::from_static(value));
    }
    let head = request_head::head(&spec, &request).unwrap();
    let expected = "GET /base/live/a?_HLS_msn=1 HTTP/1.1\r\nHost: live.example\r\nRange: bytes=0-1\r\nX-Token: own\r\n\
                    Via: a\r\nVia: b\r\nTidegate-Backup: ?1\r\nAccept: all\r\n\r\n";
    assert_eq!(std::str::from_utf8(&head).unwrap(), expected);

    spec.headers.insert("host", HeaderValue::from_static("own.example"));
    (spec.is_tier, request.path_and_query) = (false, "*".to_owned());
    let head = request_head::head(&spec, &request).unwrap();
    assert!(head.starts_with(b"GET * HTTP/1.1\r\nHost: own.example\r\nRange:"), "{}", head.escape_ascii());
    assert!(!head.windows(6).any(|window| window == b"Backup"), "it is not a tier");
    for (target, host) in [("/a b", "live.example"), ("/a\r\nb", "live.example"), ("/a", "a\r\nb: c")] {
        let request =
            UpstreamRequest { path_and_query: target.to_owned(), host: host.to_owned(), ..request.clone() };
        spec.headers.clear();
        assert!(
            matches!(request_head::head(&spec, &request), Err(UpstreamError::Unusable(_))),
            "{target:?} {host:?}"
        );
    }
}

#[tokio::test]
async fn a_body_goes_up_as_its_head_says() {
    for (name, value, expected, is_kept) in [
        ("content-length", "6", "abcdef", true),
        ("content-length", "4", "abcd", true),
        ("content-length", "7", "abcdef", false),
        ("transfer-encoding", "chunked", "4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n", true),
        ("x-other", "1", "", true),
    ] {
        let (key, served) = serve(async move |mut socket, _| {
            let mut body = vec![0; expected.len()];
            socket.read_exact(&mut body).await.unwrap();
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            (socket, body)
        })
        .await;
        let mut request = request("a");
        request.method = Method::PUT;
        request.headers.insert(name, HeaderValue::from_static(value));
        let mut connection = connect(&key, &spec(1), &request).await;
        for piece in ["abcd", "ef"] {
            connection.write(Bytes::from_static(piece.as_bytes())).await.unwrap();
        }
        connection.finish().await.unwrap();
        assert_eq!(connection.head().await.unwrap().status, StatusCode::NO_CONTENT);
        let (_socket, read) = served.await.unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), expected, "{name}: {value}");
        let idle = Idle::new(1);
        connection.release(&idle);
        assert_eq!(idle.take(&key).is_some(), is_kept, "{name}: {value}");
    }
}
