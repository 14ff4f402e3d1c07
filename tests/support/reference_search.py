"""The slow, obvious search: one position, Python objects, one simulation after the other, no cleverness.

Written from the papers for comparison with `search` in visit counts. It shares the random numbers of a tree (and so
the noise) with the fast search, nothing else. PUCT: Silver et al. 2018; Gumbel: Danihelka et al. 2022; UCT: Kocsis and
Szepesvari 2006; proven values: Winands et al. 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from games import CHANCE, TERMINAL, Game, State
from search import SearchConfig, random


@dataclass
class Node:
    state: State
    to_play: int
    reward: np.ndarray  # [P] on arrival
    value: np.ndarray  # [P]
    exact: bool = False
    expanded: bool = False
    total: np.ndarray = field(default_factory=lambda: np.zeros(1))
    visits: int = 0
    visited_prior: float = 0.0
    actions: list[int] = field(default_factory=list)
    logits: list[float] = field(default_factory=list)
    priors: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    qs: list[float] = field(default_factory=list)
    children: list[Node | None] = field(default_factory=list)


class ReferenceSearch:
    """One tree. `evaluate(state) -> (logits over legal actions, value per player)`."""

    def __init__(self, game: Game, config: SearchConfig, evaluate, seed: int, noise: bool = False) -> None:
        self.game, self.config, self.evaluate, self.noise = game, config, evaluate, noise
        self.random = np.array([seed], dtype=np.uint64)
        self.max_return = math.inf if game.has_rewards or config.discount < 1 else 1.0
        self.least, self.most = math.inf, -math.inf
        self.root: Node = None
        self.gumbel: list[float] = []
        self.plan: list[int] = []

    def run(self, state: State) -> Node:
        self.root = self.new_node(state.clone(), np.zeros(self.game.num_players))
        while self.root.visits - 1 < self.config.num_simulations:
            if self.config.proven_values and self.root.exact:
                break
            self.simulate()
        return self.root

    def new_node(self, state: State, reward: np.ndarray) -> Node:
        zeros = np.zeros(self.game.num_players)
        # Rewards and values are kept in single precision, as in the fast tree.
        node = Node(state, state.to_play(), reward.astype(np.float32).astype(float), zeros.copy(), total=zeros.copy())
        node.exact = node.to_play == TERMINAL
        return node

    def simulate(self) -> None:
        node, path = self.root, []
        while node.expanded and not node.exact:
            i = self.choose(node)
            path.append((node, i))
            if node.children[i] is None:
                node.children[i] = self.child(node, i)
                node = node.children[i]
                if node.to_play == CHANCE:
                    self.expand_chance(node)
                    continue
                break
            node = node.children[i]
        if not node.expanded and not node.exact:
            self.expand(node)
        self.backup(path, node)

    def child(self, node: Node, i: int) -> Node:
        state = node.state.clone()
        state.apply(node.actions[i])
        return self.new_node(state, np.array(state.rewards()) / self.game.utility_scale)

    def expand_chance(self, node: Node) -> None:
        for outcome, probability in node.state.chance_outcomes():
            self.add_edge(node, outcome, 0.0, float(np.float32(probability)))
        node.expanded = True

    def add_edge(self, node: Node, action: int, logit: float, prior: float) -> None:
        node.actions.append(action)
        node.logits.append(logit)
        node.priors.append(prior)
        node.counts.append(0)
        node.qs.append(0.0)
        node.children.append(None)

    def expand(self, node: Node) -> None:
        logits, value = self.evaluate(node.state)
        logits = [float(np.float32(x)) for x in logits]
        node.value = np.asarray(value).astype(np.float32).astype(float)
        top = max(logits)
        weights = [math.exp(x - top) for x in logits]
        total = sum(weights)
        for action, x, weight in zip(node.state.legal_actions(), logits, weights, strict=True):
            prior = float(np.float32(float(np.float32(weight)) / total))
            self.add_edge(node, action, float(np.float32(x - (top + math.log(total)))), prior)
        node.expanded = True
        if node is self.root:
            self.prepare_root(node)

    def prepare_root(self, node: Node) -> None:
        n = len(node.actions)
        if self.config.rule == "gumbel":
            scale = 1.0 if self.noise else 0.0
            self.gumbel = [scale * random.gumbel(self.random, 0) for _ in range(n)]
            self.plan = sequential_halving(min(self.config.max_considered_actions, n), self.config.num_simulations)
        elif self.noise:
            alpha = self.config.dirichlet_alpha or 10.0 / n
            noise = [random.gamma(self.random, 0, alpha) for _ in range(n)]
            fraction = self.config.dirichlet_fraction
            for i in range(n):
                mixed = (1.0 - fraction) * node.priors[i] + fraction * noise[i] / sum(noise)
                node.priors[i] = float(np.float32(mixed))

    def scaled(self, q: float) -> float:
        if not self.game.has_rewards:
            return q
        return 0.0 if self.most <= self.least else (q - self.least) / (self.most - self.least)

    def is_lost(self, node: Node, i: int) -> bool:
        child = node.children[i]
        known = self.config.proven_values and child is not None and child.exact
        return known and node.qs[i] <= -self.max_return

    def choose(self, node: Node) -> int:
        if node.to_play == CHANCE:
            u = random.uniform(self.random, 0)
            for i, p in enumerate(node.priors[:-1]):
                u -= p
                if u < 0:
                    return i
            return len(node.priors) - 1
        if node is self.root and self.noise and self.config.forced_playouts > 0:
            for i, n in enumerate(node.counts):
                if 0 < n < self.forced_visits(node, i) and not self.is_lost(node, i):
                    return i
        rule = {"puct": self.puct_scores, "uct": self.uct_scores, "gumbel": self.gumbel_scores}[self.config.rule]
        scores = [s - 1e9 * self.is_lost(node, i) for i, s in enumerate(rule(node))]
        return scores.index(max(scores))

    def puct_scores(self, node: Node) -> list[float]:
        c = self.config
        total = sum(node.counts)
        unvisited_q = self.scaled(node.total[node.to_play] / node.visits) - c.fpu_reduction * math.sqrt(
            node.visited_prior
        )
        pb_c = (math.log((total + 1 + c.pb_c_base + 1) / c.pb_c_base) + c.pb_c_init) * math.sqrt(total + 1)
        return [
            (self.scaled(q) if n else unvisited_q) + pb_c * p / (1 + n)
            for q, n, p in zip(node.qs, node.counts, node.priors, strict=True)
        ]

    def forced_visits(self, node: Node, i: int) -> float:
        return math.sqrt(self.config.forced_playouts * node.priors[i] * sum(node.counts))

    def pruned_counts(self) -> list[int]:
        """Visits of the root's edges without those that were forced and did not pay."""
        node, c = self.root, self.config
        best = node.counts.index(max(node.counts))
        pb_c = math.log((node.visits + c.pb_c_base + 1) / c.pb_c_base) + c.pb_c_init

        def score(i: int, visits: int) -> float:
            return self.scaled(node.qs[i]) + pb_c * math.sqrt(node.visits) * node.priors[i] / (1 + visits)

        pruned = []
        for i, n in enumerate(node.counts):
            allowed = [
                m
                for m in range(n + 1)
                if m >= n - self.forced_visits(node, i)
                and all(score(i, k) < score(best, node.counts[best]) for k in range(m, n))
            ]
            fewest = n if i == best else min(allowed)
            pruned.append(0 if fewest <= 1 and i != best else fewest)
        return pruned

    def uct_scores(self, node: Node) -> list[float]:
        unvisited = [i for i, n in enumerate(node.counts) if n == 0]
        if unvisited:
            chosen = unvisited[int(random.uniform(self.random, 0) * len(unvisited))]
            return [1.0 if i == chosen else 0.0 for i in range(len(node.counts))]
        total = math.log(sum(node.counts))
        return [
            self.scaled(q) + self.config.c_uct * math.sqrt(total / n) for q, n in zip(node.qs, node.counts, strict=True)
        ]

    def improved_logits(self, node: Node) -> list[float]:
        visited = [(p, q) for p, q, n in zip(node.priors, node.qs, node.counts, strict=True) if n > 0]
        mixed = node.value[node.to_play]
        if visited:
            total = sum(node.counts)
            mean = sum(p * q for p, q in visited) / sum(p for p, _ in visited)
            mixed = (mixed + total * mean) / (1 + total)
        scale = (self.config.c_visit + max(node.counts)) * self.config.c_scale
        pays = self.game.has_rewards
        unit = (lambda q: min(1.0, max(0.0, self.scaled(q)))) if pays else lambda q: (q + 1) / 2
        return [x + scale * unit(q if n else mixed) for x, q, n in zip(node.logits, node.qs, node.counts, strict=True)]

    def root_value(self) -> np.ndarray:
        """[P]: exact, or the mean of the returns, which Gumbel weighs by the improved policy."""
        node = self.root
        if node.exact:
            return node.value
        if self.config.rule != "gumbel":
            return node.total / node.visits
        returns, weights = [], []
        for child, count, probability in zip(node.children, node.counts, self.policy_target(), strict=True):
            if child is not None:
                below = child.value if child.exact else child.total / child.visits
                returns.append(child.reward + self.arrival(child) * below)
                weights.append(count * probability)
        return np.average(returns, axis=0, weights=weights) if sum(weights) > 0 else node.value

    def policy_target(self) -> np.ndarray:
        """[edges]: the proven wins, else what the rule makes of the moves that are not proven losses."""
        node = self.root
        lost = np.array([self.is_lost(node, i) for i in range(len(node.actions))])
        known = [self.config.proven_values and child is not None and child.exact for child in node.children]
        won = np.array([k and q >= self.max_return for k, q in zip(known, node.qs, strict=True)])
        if won.any():
            return won / won.sum()
        if self.config.rule == "gumbel":
            improved = np.array(self.improved_logits(node))
            policy = np.exp(improved - improved.max())
        else:
            forced = self.noise and self.config.forced_playouts > 0
            policy = np.array(self.pruned_counts() if forced else node.counts, float)
        if not lost.all():
            policy = np.where(lost, 0.0, policy)
            if policy.sum() == 0.0:
                policy = np.where(lost, 0.0, 1.0)
        return policy / policy.sum()

    def gumbel_scores(self, node: Node) -> list[float]:
        improved = self.improved_logits(node)
        if node is self.root:
            considered = self.plan[min(node.visits - 1, len(self.plan) - 1)]
            return [
                g + x - (0 if n == considered else 1e6)
                for g, x, n in zip(self.gumbel, improved, node.counts, strict=True)
            ]
        top = max(improved)
        weights = [math.exp(x - top) for x in improved]
        total = sum(node.counts)
        return [w / sum(weights) - n / (1 + total) for w, n in zip(weights, node.counts, strict=True)]

    def backup(self, path: list[tuple[Node, int]], leaf: Node) -> None:
        returns = leaf.value.copy()
        leaf.visits += 1
        leaf.total += returns
        below = leaf
        for node, i in reversed(path):
            mover = node.to_play
            if below.exact:
                returns = below.value.copy()
            returns = below.reward + self.arrival(below) * returns
            if node.counts[i] == 0:
                node.visited_prior = float(np.float32(node.visited_prior + node.priors[i]))
            node.counts[i] += 1
            node.visits += 1
            node.total += returns
            if mover != CHANCE:
                mean = node.qs[i] + (returns[mover] - node.qs[i]) / node.counts[i]
                node.qs[i] = returns[mover] if below.exact else mean
                self.least, self.most = min(self.least, node.qs[i]), max(self.most, node.qs[i])
            if below.exact and self.config.proven_values:
                self.prove(node)
            below = node

    def arrival(self, node: Node) -> float:
        """The discount of a move counts where it arrives at a player, and not at a chance event before."""
        return 1.0 if node.to_play == CHANCE else self.config.discount

    def prove(self, node: Node) -> None:
        known = [child is not None and child.exact for child in node.children]
        if node.to_play == CHANCE:
            if all(known):
                node.value = sum(
                    p * (child.reward + self.arrival(child) * child.value)
                    for p, child in zip(node.priors, node.children, strict=True)
                )
                node.exact = True
            return
        results = [
            child.reward + self.arrival(child) * child.value
            for child, is_known in zip(node.children, known, strict=True)
            if is_known
        ]
        best = max(results, key=lambda r: r[node.to_play])
        if all(known) or best[node.to_play] >= self.max_return:
            node.value, node.exact = best, True


def sequential_halving(considered: int, simulations: int) -> list[int]:
    """For each simulation, the visits its edge has had: algorithm 2 of the paper, simulated edge by edge."""
    if considered == 1:
        return list(range(simulations))
    phases = math.ceil(math.log2(considered))
    visits = [0] * considered
    alive, plan = considered, []
    while len(plan) < simulations:
        for _ in range(max(1, simulations // (phases * alive))):
            for edge in range(alive):
                plan.append(visits[edge])
                visits[edge] += 1
        alive = max(2, alive // 2)
    return plan[:simulations]
