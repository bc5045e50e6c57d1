//! Stories of pools, with scripted work and a clock that moves only when everybody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mnemosyne_core::agent::AgentState;
use tokio::sync::Notify;

use super::*;
use crate::pool::is_supervised;

const EXECUTOR: AgentRole = AgentRole::Executor;

async fn pools(min: usize, max: usize) -> Pools {
    let none = PoolSize::default();
    let sizes = [none, none, none, PoolSize { min, max }];
    Pools::start(sizes, RestartRules::default()).await.expect("actors start")
}

fn ticket(number: u64) -> Ticket {
    Ticket(number)
}

/// What the executors do, by their numbers.
fn states(pools: &Pools) -> Vec<AgentState> {
    pools.of(EXECUTOR).snapshot().iter().map(|agent| agent.state).collect()
}

fn nothing() -> Work {
    Box::pin(async {})
}

fn panics() -> Work {
    Box::pin(async { panic!("planted") })
}

/// Work that ends when it is told to.
fn until(told: &Arc<Notify>) -> Work {
    let told = Arc::clone(told);
    Box::pin(async move { told.notified().await })
}

/// Says when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn hangs(dropped: &Arc<Notify>) -> Work {
    let dropped = Dropped(Arc::clone(dropped));
    Box::pin(async move {
        let _dropped = dropped;
        std::future::pending::<()>().await;
    })
}

async fn crashed(pools: &mut Pools) -> (Option<Ticket>, Box<str>) {
    loop {
        match pools.next().await {
            Happened::Crashed { role, ticket, error, .. } => {
                assert_eq!(role, EXECUTOR);
                return (ticket, error);
            }
            Happened::RestartDue => pools.restart_due().await,
            Happened::Done(ticket) => panic!("{ticket:?} crashes"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn agents_are_made_when_there_is_work_and_used_again() {
    let mut pools = pools(0, 500).await;
    assert_eq!(states(&pools), []);
    for number in 0..20 {
        assert!(pools.assign(EXECUTOR, ticket(number), nothing).await);
        assert_eq!(states(&pools), [AgentState::Active]);
        assert_eq!(pools.next().await, Happened::Done(ticket(number)));
    }
    assert_eq!(states(&pools), [AgentState::Idle], "one agent was enough");
    pools.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_begins_with_its_fewest_and_has_never_more_than_its_most() {
    let mut pools = pools(2, 3).await;
    assert_eq!(states(&pools), [AgentState::Idle; 2]);
    let told = Arc::new(Notify::new());
    for number in 0..3 {
        assert!(pools.assign(EXECUTOR, ticket(number), || until(&told)).await);
    }
    assert!(!pools.assign(EXECUTOR, ticket(3), || panic!("nothing is made when nobody is free")).await);
    assert!(matches!(
        pools.of_mut(EXECUTOR).scale_up().await,
        Err(ScaleError::AtMaximum { role: EXECUTOR, max: 3 })
    ));
    told.notify_one();
    assert!(matches!(pools.next().await, Happened::Done(_)));
    assert!(pools.assign(EXECUTOR, ticket(3), nothing).await);
}

#[tokio::test(start_paused = true)]
async fn roles_do_not_take_agents_from_each_other() {
    let one = PoolSize { min: 0, max: 1 };
    let mut pools = Pools::start([one; 4], RestartRules::default()).await.expect("actors start");
    let told = Arc::new(Notify::new());
    for role in AgentRole::ALL {
        assert!(pools.assign(role, ticket(1), || until(&told)).await, "{role}");
    }
    assert!(!pools.assign(AgentRole::Reviewer, ticket(2), nothing).await);
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_work_panics_is_restarted_and_the_work_comes_back() {
    let mut pools = pools(1, 1).await;
    assert!(pools.assign(EXECUTOR, ticket(1), panics).await);
    let before = Instant::now();
    assert_eq!(crashed(&mut pools).await, (Some(ticket(1)), "planted".into()));
    assert_eq!(states(&pools), [AgentState::Waiting]);
    assert!(!pools.assign(EXECUTOR, ticket(2), nothing).await, "its place is kept");
    assert_eq!(pools.next().await, Happened::RestartDue);
    let waited = before.elapsed();
    assert!((Duration::from_millis(80)..=Duration::from_millis(101)).contains(&waited), "{waited:?}");
    pools.restart_due().await;
    assert_eq!(states(&pools), [AgentState::Idle]);
    assert!(pools.assign(EXECUTOR, ticket(2), nothing).await);
    assert_eq!(pools.next().await, Happened::Done(ticket(2)));
    let agent = pools.of(EXECUTOR).snapshot().remove(0);
    assert_eq!((agent.number, agent.restarts, agent.last_error.as_deref()), (1, 1, Some("planted")));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_always_crashes_is_left_alone_for_a_while() {
    let mut pools = pools(1, 1).await;
    let rules = RestartRules::default();
    for number in 0..=u64::try_from(rules.restarts_max).expect("few") {
        while !pools.assign(EXECUTOR, ticket(number), panics).await {
            assert_eq!(pools.next().await, Happened::RestartDue);
            pools.restart_due().await;
        }
        assert_eq!(crashed(&mut pools).await.0, Some(ticket(number)));
    }
    assert_eq!(states(&pools), [AgentState::Error]);
    let before = Instant::now();
    assert_eq!(pools.next().await, Happened::RestartDue);
    assert!(before.elapsed() >= rules.rest - Duration::from_millis(1));
    pools.restart_due().await;
    assert_eq!(states(&pools), [AgentState::Idle]);
    assert!(pools.assign(EXECUTOR, ticket(9), nothing).await);
    assert_eq!(pools.next().await, Happened::Done(ticket(9)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_work_is_made_is_a_crash_of_the_agent() {
    let mut pools = pools(0, 1).await;
    assert!(pools.assign(EXECUTOR, ticket(1), || panic!("planted early")).await);
    assert_eq!(crashed(&mut pools).await, (Some(ticket(1)), "planted early".into()));
}

#[tokio::test(start_paused = true)]
async fn work_is_marked_for_the_panic_hook_and_nothing_else_is() {
    let mut pools = pools(0, 1).await;
    let marked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&marked);
    let work: Work = Box::pin(async move {
        for _ in 0..3 {
            seen.fetch_add(usize::from(is_supervised()), Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    assert!(pools.assign(EXECUTOR, ticket(1), || work).await);
    let elsewhere = tokio::spawn(async {
        tokio::task::yield_now().await;
        is_supervised()
    });
    assert_eq!(pools.next().await, Happened::Done(ticket(1)));
    assert_eq!(marked.load(Ordering::Relaxed), 3);
    assert!(!is_supervised() && !elsewhere.await.expect("it does not panic"));
}

#[tokio::test(start_paused = true)]
async fn work_that_hangs_holds_up_nobody_else_and_ends_with_the_pools() {
    let mut pools = pools(0, 2).await;
    let dropped = Arc::new(Notify::new());
    assert!(pools.assign(EXECUTOR, ticket(1), || hangs(&dropped)).await);
    for number in 2..5 {
        assert!(pools.assign(EXECUTOR, ticket(number), nothing).await);
        assert_eq!(pools.next().await, Happened::Done(ticket(number)));
    }
    assert_eq!(states(&pools), [AgentState::Active, AgentState::Idle]);
    pools.close().await;
    dropped.notified().await;
}

#[tokio::test(start_paused = true)]
async fn agents_end_when_the_pools_are_dropped() {
    let mut pools = pools(0, 1).await;
    let dropped = Arc::new(Notify::new());
    assert!(pools.assign(EXECUTOR, ticket(1), || hangs(&dropped)).await);
    drop(pools);
    dropped.notified().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_drains_finishes_its_work_and_takes_no_other() {
    let mut pools = pools(0, 1).await;
    let told = Arc::new(Notify::new());
    assert!(pools.assign(EXECUTOR, ticket(1), || until(&told)).await);
    pools.of_mut(EXECUTOR).scale_down().expect("it may have none");
    assert_eq!(states(&pools), [AgentState::Draining]);
    assert_eq!(pools.of(EXECUTOR).size(), 0);
    assert!(!pools.assign(EXECUTOR, ticket(2), nothing).await, "it still counts against the maximum");
    assert!(matches!(
        pools.of_mut(EXECUTOR).scale_down(),
        Err(ScaleError::AtMinimum { role: EXECUTOR, min: 0 })
    ));
    told.notify_one();
    assert_eq!(pools.next().await, Happened::Done(ticket(1)));
    assert_eq!(states(&pools), []);
    assert!(pools.assign(EXECUTOR, ticket(2), nothing).await);
    assert_eq!(pools.next().await, Happened::Done(ticket(2)));
    assert_eq!(pools.of(EXECUTOR).snapshot()[0].number, 2, "it is another agent");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_crashes_while_it_drains_does_not_come_back() {
    let mut pools = pools(0, 1).await;
    let told = Arc::new(Notify::new());
    let waits = until(&told);
    let work = || -> Work {
        Box::pin(async move {
            waits.await;
            panic!("planted")
        })
    };
    assert!(pools.assign(EXECUTOR, ticket(1), work).await);
    pools.of_mut(EXECUTOR).scale_down().expect("it may have none");
    told.notify_one();
    assert_eq!(crashed(&mut pools).await.0, Some(ticket(1)));
    assert_eq!(states(&pools), []);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_wait_gets_an_agent_beyond_the_bounds_that_leaves_afterwards() {
    let mut pools = pools(0, 1).await;
    let told = Arc::new(Notify::new());
    let mut beyond = async |number| {
        let work = || until(&told);
        pools.assign_beyond(EXECUTOR, ticket(number), work).await.expect("actors start");
        states(&pools)
    };
    assert_eq!(beyond(1).await, [AgentState::Active], "within the bounds as long as there is room");
    assert_eq!(beyond(2).await, [AgentState::Active, AgentState::Draining]);
    assert_eq!(pools.of(EXECUTOR).size(), 1);
    for _ in 0..2 {
        told.notify_one();
        assert!(matches!(pools.next().await, Happened::Done(_)));
    }
    assert_eq!(states(&pools), [AgentState::Idle]);
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_to_an_agent_that_is_gone_comes_back() {
    let mut pools = pools(1, 1).await;
    let actor = pools.of_mut(EXECUTOR).get_agent().expect("there is one");
    pools.of_mut(EXECUTOR).return_agent(actor.clone());
    actor.kill();
    while actor.get_status() != ractor::ActorStatus::Stopped {
        tokio::task::yield_now().await;
    }
    assert!(pools.assign(EXECUTOR, ticket(1), nothing).await, "nobody has noticed yet");
    assert_eq!(crashed(&mut pools).await.0, Some(ticket(1)));
    assert_eq!(states(&pools), [AgentState::Waiting]);
    assert_eq!(pools.next().await, Happened::RestartDue, "it is noticed once");
}
