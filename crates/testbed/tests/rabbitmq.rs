//! What a RabbitMQ of the test bed is, as a lesson sees it.

use std::time::Instant;

#[tokio::test]
async fn a_virtual_host_is_empty_and_has_no_owner_but_us() {
    let began = Instant::now();
    let rabbit = testbed::rabbitmq::private().await.unwrap();
    println!("{} in {:?}: {}", rabbit.origin(), began.elapsed(), rabbit.url());
    assert!(rabbit.queues().await.unwrap().is_empty());
    assert_eq!(rabbit.kill_connections().await.unwrap(), 0);
    let refused = rabbit.kill().await.unwrap_err().to_string();
    assert!(refused.contains("process()"), "{refused}");
}
