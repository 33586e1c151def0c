//! A whole order's life, played by the mock BPP against the real receiver.

use beckn_receiver::mock::{Dialect, Expectation, MockBpp};
use beckn_receiver::{Action, Flag, OrderEvent, Payload};

use crate::harness::{Recorder, TestReceiver};

async fn a_life_is_delivered(dialect: Dialect) {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("[rules]\nprofile = \"strict\"", recorder.clone()).await;
    let seller = MockBpp::new(&format!("http://{}", receiver.address)).unwrap().dialect(dialect);
    let steps = seller.life();
    for (step, answer) in steps.iter().zip(seller.play(&steps).await.unwrap()) {
        assert!(answer.is_ack(), "{}: {answer:?}", step.name);
    }
    let new: Vec<_> = steps.iter().filter(|step| step.expects != Expectation::Duplicate).collect();
    let events = recorder.wait_for(new.len()).await;
    receiver.stop().await;
    assert_eq!(recorder.seen().len(), new.len());
    for (step, event) in new.iter().zip(&events) {
        assert_eq!((step.action, &step.body), (event.action, &event.body), "{}", step.name);
        let reused = step.expects == Expectation::NewUnderReusedId;
        assert_eq!(event.flags.contains(Flag::IdReused), reused, "{}", step.name);
        assert_eq!(event.oddities, [], "{}", step.name);
        let tracks = matches!(event.payload, Payload::Tracking(_));
        assert_eq!(tracks, event.action == Action::OnTrack, "{}", step.name);
    }
    assert!(events.last().and_then(OrderEvent::state).is_some());
}

#[tokio::test]
async fn an_ondc_1_2_5_orders_life_reaches_the_handler_in_order() {
    a_life_is_delivered(Dialect::Ondc125).await;
}

#[tokio::test]
async fn an_ondc_2_0_orders_life_reaches_the_handler_in_order() {
    a_life_is_delivered(Dialect::Ondc20).await;
}
