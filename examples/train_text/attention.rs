//! A block of a transformer: causal self-attention, and two layers at each place, each behind a normalisation and added to
//! what came in.
//!
//!   r ← r + W_m a(W_q r̂ + b_q) + b_m,   r ← r + W_d φ(W_u r̂ + b_u) + b_d,   r̂ = (r − mean r)/√(var r + ε),  φ(z) = max(z, 0)²
//!
//! at every place of a sequence, r being the numbers that are handed on from block to block. Attention a mixes places: with
//! queries q, keys k and values v, the three parts of W_q r̂ + b_q, it is in each of its heads, at all places t of a sequence,
//!
//!   a_t = Σ_{s ≤ t} p_ts v_s,   p_t· = softmax of q_tᵀk_s/√n over s ≤ t,   n the width of a head.
//!
//! Vaswani et al., "Attention is all you need" (NeurIPS 2017), section 3.2, with the normalisation before each part (Xiong et
//! al., "On layer normalization in the transformer architecture", ICML 2020), whose gain and shift are left out, since the layer
//! behind it has them in its weights; φ is that of So et al., "Primer" (NeurIPS 2021).

use faer::MatRef;

use crate::layers::{Gathered, Linear, Normalised, Real, add_to, multiply, view, view_mut};

/// Causal self-attention with several heads; each row that comes in has the queries of all heads, their keys, their values.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Places of a sequence, T.
    pub places: usize,
    pub width: usize,
    pub heads: usize,
}

impl Attention {
    /// Calls `body(p, i, o)` for every sequence and head: its T × T weights begin at p, its rows among those that come
    /// in at i, and among those that go out at o. Rows that come in are 3·width long, its queries at i, its keys and
    /// values width and 2·width behind them.
    fn each(&self, rows: usize, mut body: impl FnMut(usize, usize, usize)) {
        let Attention { places, width, heads } = *self;
        for sequence in 0..rows / places {
            for head in 0..heads {
                let (row, column) = (sequence * places, head * (width / heads));
                body((sequence * heads + head) * places * places, row * 3 * width + column, row * width + column);
            }
        }
    }

    /// All queries, keys or values of a head, from `at` on.
    fn read<'a, T>(&self, rows: &'a [T], at: usize, stride: usize) -> MatRef<'a, T> {
        view(&rows[at..], self.places, self.width / self.heads, stride)
    }

    fn scale<T: Real>(&self) -> T {
        T::from_f64(((self.width / self.heads) as f64).sqrt().recip())
    }

    /// Values: fills p and a.
    pub fn apply<T: Real>(&self, qkv: &[T], weights: &mut [T], mixed: &mut [T]) {
        let Attention { places, width, heads } = *self;
        self.each(mixed.len() / width, |p, i, o| {
            let p = &mut weights[p..p + places * places];
            let [q, k, v] = [0, 1, 2].map(|part| self.read(qkv, i + part * width, 3 * width));
            multiply(view_mut(p, places, places, places), false, self.scale(), q, k.transpose());
            for (t, p) in p.chunks_exact_mut(places).enumerate() {
                let (past, future) = p.split_at_mut(t + 1);
                let largest = past.iter().fold(T::neg_infinity(), |largest, &s| largest.max(s));
                past.iter_mut().for_each(|s| *s = (*s - largest).exp());
                let sum = past.iter().fold(T::zero(), |sum, &e| sum + e);
                past.iter_mut().for_each(|e| *e /= sum);
                future.fill(T::zero());
            }
            let a = view_mut(&mut mixed[o..], places, width / heads, width);
            multiply(a, false, T::one(), view(p, places, places, places), v);
        });
    }

    /// d ← p(d − pᵀd) in all rows of p: softmax's tangent, and its derivative.
    fn times_softmax_jacobian<T: Real>(&self, p: &[T], d: &mut [T]) {
        for (p, d) in p.chunks_exact(self.places).zip(d.chunks_exact_mut(self.places)) {
            let mean = p.iter().zip(&*d).fold(T::zero(), |sum, (&p, &d)| sum + p * d);
            d.iter_mut().zip(p).for_each(|(d, &p)| *d = p * (*d - mean));
        }
    }

    /// The tangent ȧ = ṗv + pv̇, ṗ from the tangents of queries and keys.
    pub fn tangent<T: Real>(&self, [qkv, dots]: [&[T]; 2], weights: &[T]) -> Vec<T> {
        let Attention { places, width, heads } = *self;
        let mut out = vec![T::zero(); qkv.len() / 3];
        let mut p_dot = vec![T::zero(); places * places];
        self.each(out.len() / width, |p, i, o| {
            let p = &weights[p..p + places * places];
            let [q, k, v] = [0, 1, 2].map(|part| self.read(qkv, i + part * width, 3 * width));
            let [q_dot, k_dot, v_dot] = [0, 1, 2].map(|part| self.read(dots, i + part * width, 3 * width));
            multiply(view_mut(&mut p_dot, places, places, places), false, self.scale(), q_dot, k.transpose());
            multiply(view_mut(&mut p_dot, places, places, places), true, self.scale(), q, k_dot.transpose());
            self.times_softmax_jacobian(p, &mut p_dot);
            let out = &mut out[o..];
            let p_dot = view(&p_dot, places, places, places);
            multiply(view_mut(out, places, width / heads, width), false, T::one(), p_dot, v);
            let p = view(p, places, places, places);
            multiply(view_mut(out, places, width / heads, width), true, T::one(), p, v_dot);
        });
        out
    }

    /// The derivatives by queries, keys and values, for those by a.
    pub fn derivative<T: Real>(&self, qkv: &[T], weights: &[T], delta: &[T]) -> Vec<T> {
        let Attention { places, width, heads } = *self;
        let mut out = vec![T::zero(); qkv.len()];
        let mut d = vec![T::zero(); places * places];
        self.each(delta.len() / width, |p, i, o| {
            let p = &weights[p..p + places * places];
            let [q, k, v] = [0, 1, 2].map(|part| self.read(qkv, i + part * width, 3 * width));
            let delta = self.read(delta, o, width);
            multiply(view_mut(&mut d, places, places, places), false, T::one(), delta, v.transpose());
            self.times_softmax_jacobian(p, &mut d);
            let d = view(&d, places, places, places);
            let mut write = |part: usize, scale: T, a, b| {
                let out = view_mut(&mut out[i + part * width..], places, width / heads, 3 * width);
                multiply(out, false, scale, a, b);
            };
            write(0, self.scale(), d, k);
            write(1, self.scale(), d.transpose(), q);
            write(2, T::one(), view(p, places, places, places).transpose(), delta);
        });
        out
    }
}

/// The four layers of a block, in the order of their parameters.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The number of the first of them among the network's layers.
    pub number: usize,
    pub attention: Attention,
    pub queries: Linear,
    pub mixed: Linear,
    pub up: Linear,
    pub down: Linear,
}

/// max(z, 0). NaN stays NaN.
fn positive<T: Real>(z: T) -> T {
    if z < T::zero() { T::zero() } else { z }
}

/// What tangents and derivatives need of a block's values.
#[derive(Default)]
pub struct BlockValues<T> {
    before_attention: Normalised<T>,
    /// Queries, keys and values; p; a.
    qkv: Vec<T>,
    weights: Vec<T>,
    mixed: Vec<T>,
    before_up: Normalised<T>,
    /// z and φ(z).
    hidden: Vec<T>,
    active: Vec<T>,
}

impl Block {
    /// Values: r ← the block's of r.
    pub fn apply<T: Real>(&self, x: &[T], values: &mut BlockValues<T>, r: &mut [T]) {
        let Attention { places, width, heads } = self.attention;
        let rows = r.len() / width;
        values.before_attention.set(r, width);
        values.qkv.resize(rows * 3 * width, T::zero());
        values.weights.resize(rows * heads * places, T::zero());
        values.mixed.resize(rows * width, T::zero());
        self.queries.apply(x, &values.before_attention.rows, false, &mut values.qkv);
        self.attention.apply(&values.qkv, &mut values.weights, &mut values.mixed);
        self.mixed.apply(x, &values.mixed, true, r);
        values.before_up.set(r, width);
        values.hidden.resize(rows * self.up.outputs, T::zero());
        self.up.apply(x, &values.before_up.rows, false, &mut values.hidden);
        values.active.clear();
        values.active.extend(values.hidden.iter().map(|&z| positive(z) * positive(z)));
        self.down.apply(x, &values.active, true, r);
    }

    /// d ← φ′(z)d = 2 max(z, 0)d.
    fn times_slope<T: Real>(values: &BlockValues<T>, d: &mut [T]) {
        d.iter_mut().zip(&values.hidden).for_each(|(d, &z)| *d *= positive(z) + positive(z));
    }

    /// The tangent of r, in the direction v of the parameters x.
    pub fn tangent<T: Real>(&self, [x, v]: [&[T]; 2], values: &BlockValues<T>, r_dot: &mut [T]) {
        let mut normalised = r_dot.to_vec();
        values.before_attention.times_jacobian(&mut normalised);
        let mut dots = vec![T::zero(); values.qkv.len()];
        self.queries.tangent([x, v], [&values.before_attention.rows, &normalised], false, &mut dots);
        let mixed = self.attention.tangent([&values.qkv, &dots], &values.weights);
        self.mixed.tangent([x, v], [&values.mixed, &mixed], true, r_dot);
        normalised.copy_from_slice(r_dot);
        values.before_up.times_jacobian(&mut normalised);
        let mut hidden = vec![T::zero(); values.hidden.len()];
        self.up.tangent([x, v], [&values.before_up.rows, &normalised], false, &mut hidden);
        Self::times_slope(values, &mut hidden);
        self.down.tangent([x, v], [&values.active, &hidden], true, r_dot);
    }

    /// The derivative: delta ← that by the r that comes in, for that by the r that goes out.
    pub fn derivative<T: Real>(
        &self,
        x: &[T],
        values: &BlockValues<T>,
        delta: &mut [T],
        gathered: &mut Gathered<'_, T>,
    ) {
        gathered.add(self.number + 3, self.down, &values.active, delta);
        let mut hidden = self.down.derivative(x, delta);
        Self::times_slope(values, &mut hidden);
        gathered.add(self.number + 2, self.up, &values.before_up.rows, &hidden);
        let mut back = self.up.derivative(x, &hidden);
        values.before_up.times_jacobian(&mut back);
        add_to(delta, &back);
        gathered.add(self.number + 1, self.mixed, &values.mixed, delta);
        let mixed = self.mixed.derivative(x, delta);
        let dots = self.attention.derivative(&values.qkv, &values.weights, &mixed);
        gathered.add(self.number, self.queries, &values.before_attention.rows, &dots);
        let mut back = self.queries.derivative(x, &dots);
        values.before_attention.times_jacobian(&mut back);
        add_to(delta, &back);
    }
}
