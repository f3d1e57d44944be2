//! A table that does not answer: 503, and the reason stays inside.

use insta::assert_snapshot;

use crate::bench::{Bench, DOCUMENT, S3, S3_SINK, SINKS, STREAM, key, own_routes};

#[tokio::test]
async fn a_table_that_does_not_answer_is_503_on_every_route_and_its_reason_stays_inside() {
    let bench = Bench::with_sink().await;
    bench.store.fail_next(1);
    let answer = bench.get(STREAM).await;
    assert_snapshot!(answer.shown(), @r#"
    503
    content-type: application/problem+json
    retry-after: 1

    detail: "a service that this request needs does not answer; try again"
    request_id: [request id]
    status: 503
    title: "Service Unavailable"
    type: "urn:millrace:problem:service-unavailable"
    "#);
    let about_documents_alone = ["/streams/lint", "/streams/schema.json"];
    for (method, path, _) in
        own_routes("refuse-trucks", "1").into_iter().filter(|(_, path, _)| !about_documents_alone.contains(&path.as_str()))
    {
        let body = match path.as_str() {
            SINKS => S3_SINK,
            "/streams" => r#"{"refuse-trucks": {}}"#,
            _ => "{}",
        };
        bench.store.fail_next(1);
        assert_eq!(bench.call(method, &path, Some(body)).await.shown(), answer.shown(), "{method} {path}");
    }
    assert_eq!(bench.get(STREAM).await.status, 200, "a failure is not remembered");
    assert_eq!(bench.get("/ready").await.status, 200, "not even of readiness");
}

#[tokio::test]
async fn whichever_write_fails_the_answer_is_503_and_trying_again_helps() {
    let mut faults = 0;
    for passes in 0..10 {
        let bench = Bench::new();
        bench.store.fail_after(passes);
        let answer = bench.post(STREAM, DOCUMENT).await;
        if answer.status == 201 {
            break;
        }
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        faults += 1;
        let again = bench.post(STREAM, DOCUMENT).await.status;
        assert!([201, 409].contains(&again), "{again}");
        bench.finish_stacks();
        bench.get(STREAM).await;
        bench.finish_stacks();
        assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE", "after {passes} calls");
        let stacks = bench.stacks.requests();
        assert!(stacks.iter().all(|request| request.name == stacks[0].name), "one stack, however often it was asked for");
    }
    assert!(faults >= 2, "the record, and the stack's id");
}

#[tokio::test]
async fn whichever_write_of_a_deletion_fails_trying_again_helps() {
    for passes in 0..3 {
        let bench = Bench::with_sink().await;
        bench.store.fail_after(passes);
        bench.delete(S3).await;
        bench.store.fail_next(0);
        bench.delete(S3).await;
        bench.finish_stacks();
        assert_eq!(bench.get(S3).await.status, 404, "after {passes} calls");
        assert!(bench.store.stored(&key("refuse-trucks", "1")).is_some());
    }
}
