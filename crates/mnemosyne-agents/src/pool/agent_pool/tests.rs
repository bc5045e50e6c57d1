//! The four verbs of a pool against a model of it, in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ractor::ActorStatus;

use super::*;
use crate::pool::Pools;

#[derive(Clone, Debug)]
enum Verb {
    Up,
    Down,
    Get,
    /// Of those at work, one by its position.
    Return(usize),
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        2 => Just(Verb::Up),
        2 => Just(Verb::Down),
        3 => Just(Verb::Get),
        2 => any::<usize>().prop_map(Verb::Return),
    ]
}

/// What a pool must come to, and what it gave out.
#[derive(Default)]
struct Model {
    idle: usize,
    /// Those at work, and whether they leave afterwards.
    at_work: Vec<(ActorRef<AgentMessage>, bool)>,
    gone: Vec<ActorRef<AgentMessage>>,
}

impl Model {
    fn size(&self) -> usize {
        self.idle + self.at_work.iter().filter(|(_, draining)| !draining).count()
    }
}

async fn perform(pool: &mut AgentPool, model: &mut Model, verb: Verb) {
    let PoolSize { min, max } = pool.bounds();
    match verb {
        Verb::Up => {
            let fits = model.idle + model.at_work.len() < max;
            assert_eq!(pool.scale_up().await.is_ok(), fits);
            model.idle += usize::from(fits);
        }
        Verb::Down if model.size() <= min => {
            assert!(matches!(pool.scale_down(), Err(ScaleError::AtMinimum { .. })));
        }
        Verb::Down if model.idle > 0 => {
            let longest_idle = pool.idle_agents.back().expect("one is idle").clone();
            pool.scale_down().expect("above the minimum");
            model.gone.push(longest_idle);
            model.idle -= 1;
        }
        Verb::Down => {
            pool.scale_down().expect("above the minimum");
            let drains = |(actor, _): &&mut (ActorRef<AgentMessage>, bool)| pool.records[&key(actor)].draining;
            let drained: Vec<&mut bool> = model
                .at_work
                .iter_mut()
                .filter(|known| !known.1)
                .filter(drains)
                .map(|(_, draining)| draining)
                .collect();
            assert_eq!(drained.len(), 1, "exactly one more leaves");
            drained.into_iter().for_each(|draining| *draining = true);
        }
        Verb::Get => {
            let agent = pool.get_agent();
            assert_eq!(agent.is_some(), model.idle > 0);
            if let Some(agent) = agent {
                assert!(model.gone.iter().all(|gone| key(gone) != key(&agent)), "a drained agent got work");
                model.at_work.push((agent, false));
                model.idle -= 1;
            }
        }
        Verb::Return(_) if model.at_work.is_empty() => {}
        Verb::Return(position) => {
            let (agent, draining) = model.at_work.swap_remove(position % model.at_work.len());
            pool.return_agent(agent.clone());
            // Twice makes no difference.
            pool.return_agent(agent.clone());
            if draining {
                model.gone.push(agent);
            } else {
                model.idle += 1;
            }
        }
    }
}

fn check(pool: &AgentPool, model: &Model) {
    let idle: BTreeSet<u64> = pool.idle_agents.iter().map(key).collect();
    let active: BTreeSet<u64> = pool.active_agents.iter().map(key).collect();
    assert_eq!((idle.len(), active.len()), (pool.idle_agents.len(), pool.active_agents.len()), "none twice");
    assert!(idle.is_disjoint(&active), "none in both lists");
    assert_eq!(idle.union(&active).copied().collect::<BTreeSet<_>>(), pool.records.keys().copied().collect());
    assert_eq!(active, model.at_work.iter().map(|(actor, _)| key(actor)).collect());
    assert_eq!((idle.len(), pool.size()), (model.idle, model.size()));
    let PoolSize { min, max } = pool.bounds();
    assert!((min..=max).contains(&pool.size()) && pool.records.len() <= max);
    for (at, actor) in pool.active_agents.iter().enumerate() {
        assert!(matches!(pool.records[&key(actor)].duty, Duty::Active { at: kept, .. } if kept == at));
    }
}

async fn ended(agents: &[ActorRef<AgentMessage>]) {
    for agent in agents {
        while agent.get_status() != ActorStatus::Stopped {
            tokio::task::yield_now().await;
        }
    }
}

proptest! {
    #[test]
    fn the_verbs_keep_a_pool_in_order(
        min in 0_usize..3,
        more in 0_usize..5,
        verbs in prop::collection::vec(verb(), 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let none = PoolSize::default();
            let sizes = [none, none, none, PoolSize { min, max: min + more }];
            let mut pools = Pools::start(sizes, RestartRules::default()).await.expect("actors start");
            let pool = pools.of_mut(AgentRole::Executor);
            let mut model = Model { idle: min, ..Model::default() };
            check(pool, &model);
            for verb in verbs {
                perform(pool, &mut model, verb).await;
                check(pool, &model);
            }
            ended(&model.gone).await;
            let staying = pool.idle_agents.iter().chain(&pool.active_agents);
            assert!(staying.clone().all(|actor| actor.get_status() != ActorStatus::Stopped));
            let staying: Vec<_> = staying.cloned().collect();
            pools.close().await;
            ended(&staying).await;
        });
    }
}
