//! Assignment: gives free slots to ready items, inside apply, so that a
//! submission and a completion each lead to a start within one commit.

use crate::effect::Effect;
use crate::event::Event;
use crate::id::{FencingToken, NodeId};
use crate::node::Service;
use crate::orchestration::Orchestration;
use crate::settings::LoadBalancingStrategy;
use crate::work::attempt::Attempt;
use crate::work::class::{GroupId, sooner};
use crate::work::item::ItemRef;
use crate::work::ready::{ReadyKey, step_of};
use crate::work::state::ItemState;

impl Orchestration {
    /// Gives every free slot to the best item that can use it.
    pub(crate) fn assign(&mut self) {
        if self.index.counts[ItemState::Ready.index()] == 0 {
            return;
        }
        while let Some((class, key)) = self.best_ready() {
            let (node, service) = self.best_node(class).expect("only classes with a free slot are considered");
            let service = self.best_service(class, node, service);
            self.grant(key.item(), node, service);
        }
    }

    /// The best item among the classes that have a free slot somewhere.
    fn best_ready(&mut self) -> Option<(u32, ReadyKey)> {
        let step = step_of(self.facts.now, self.facts.settings.ageing_step);
        let (nodes, runs) = (&self.facts.nodes, &self.facts.runs);
        let is_open = |group: GroupId| {
            let run = usize::try_from(group.slot).ok().and_then(|slot| runs.get(slot)).and_then(Option::as_ref);
            run.is_some_and(|run| run.full_group(group.group).is_none())
        };
        let mut best: Option<(i64, ReadyKey)> = None;
        let mut best_class = 0;
        for (position, class) in (0_u32..).zip(self.index.classes.iter_mut()) {
            let role = class.demand.role;
            if !class.nodes.iter().any(|(id, _, _)| nodes.get(id).is_some_and(|node| node.free(role) > 0)) {
                continue;
            }
            let found = sooner(best, class.first(step, is_open));
            if found != best {
                (best, best_class) = (found, position);
            }
        }
        best.map(|(_, key)| (best_class, key))
    }

    /// The node for the next item of a class: most preferences met, then the
    /// smallest share of slots in use, then the smallest id.
    fn best_node(&self, class: u32) -> Option<(NodeId, Service)> {
        let class = self.index.classes.get(class);
        let role = class.demand.role;
        let mut best: Option<(usize, u64, u64, NodeId, Service)> = None;
        for (id, service, affinity) in &class.nodes {
            let Some(node) = self.facts.nodes.get(id) else { continue };
            if node.free(role) == 0 {
                continue;
            }
            let (used, slots) = (u64::from(node.used[role.index()]), u64::from(node.facts.slots[role.index()]));
            let better = best.is_none_or(|(best_affinity, best_used, best_slots, _, _)| {
                *affinity > best_affinity
                    || (*affinity == best_affinity && used * best_slots < best_used * slots)
            });
            if better {
                best = Some((*affinity, used, slots, *id, *service));
            }
        }
        best.map(|(_, _, _, id, service)| (id, service))
    }

    /// How a node serves the next item of a class: in the way it would first, or with the agent that is known to be
    /// best at it.
    fn best_service(&self, class: u32, node: NodeId, first: Service) -> Service {
        let demand = &self.index.classes.get(class).demand;
        if self.facts.settings.load_balancing != LoadBalancingStrategy::SpecializationBased
            || demand.agents.len() < 2
        {
            return first;
        }
        self.most_apt(demand, self.facts.nodes[&node].facts.able(demand)).map_or(first, Service::Agent)
    }

    /// Records an attempt and hands it to its node.
    fn grant(&mut self, at: ItemRef, node: NodeId, service: Service) {
        let now = self.facts.now;
        self.facts.last_token = FencingToken(self.facts.last_token.0 + 1);
        let token = self.facts.last_token;
        let session = self.facts.nodes[&node].session.expect("only nodes in a session have free slots");
        let kept = usize::try_from(self.facts.settings.limits.attempts_kept_max).unwrap_or(usize::MAX).max(1);
        let item = self.item_mut(at);
        let waited = now.since(item.since);
        let last = item.attempts.last();
        assert!(last.is_none_or(|attempt| attempt.token < token), "tokens grow");
        assert!(last.is_none_or(|attempt| attempt.ended_at.is_some()), "one attempt at a time");
        let attempt = Attempt {
            number: item.executions() + 1,
            token,
            node,
            session,
            agent: match service {
                Service::Command => None,
                Service::Agent(position) => Some(position),
            },
            granted_at: now,
            started_at: None,
            ended_at: None,
            outcome: None,
            message: None,
            report: None,
        };
        if item.attempts.len() >= kept {
            item.attempts.remove(0);
        }
        item.attempts.reserve_exact(1);
        item.attempts.push(attempt);
        self.set_state(at, ItemState::Assigned);
        self.facts.totals.granted += 1;
        self.facts.totals.waited_ms += waited.as_millis();
        let item = self.id_of(at);
        self.emit(Event::WorkItemAssigned { item, token, node });
        self.effect(Effect::Start { node, item, token });
    }
}
