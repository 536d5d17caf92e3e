//! Poses in the plane and in space, and what an edge between two of them measures.
//!
//! With rotations R and positions t, an edge (i, j) that measured (R_m, t_m) has the error
//!
//!   e_t = R_mᵀ (R_iᵀ (t_j − t_i) − t_m),     e_R = the rotation R_mᵀ R_iᵀ R_j: its angle in the plane, twice the vector
//!                                                   part of its unit quaternion in space (the rotation vector, to second
//!                                                   order).
//!
//! The parameters of a pose are its position and, in the plane, its angle; in space a rotation vector w, which turns the
//! rotation R₀, that of the file or of the last beginning, into R₀ exp([w]×). With φ = J_r(w) dw, the right Jacobian of the exponential, a change of w
//! changes R into R exp([φ]×) (Barfoot, *State Estimation for Robotics* (2017), section 7.1.5).

/// A pose with N degrees of freedom.
pub trait Pose<const N: usize>: Copy + Send + Sync {
    /// The numbers of a vertex in a file.
    const NUMBERS: usize;
    /// The numbers of the information matrix's upper triangle, by rows, in the order of this type's degrees of freedom.
    const INFORMATION: usize = N * (N + 1) / 2;

    /// The degrees of freedom of its position; those of its rotation follow.
    const POSITION: usize;

    /// From the numbers in a file.
    fn read(numbers: &[f64]) -> Result<Self, String>;
    /// The parameters of this pose, with which `at` gives it back.
    fn parameters(&self) -> [f64; N];
    /// The pose with these parameters, `self` being the one that they are relative to.
    fn at(&self, parameters: &[f64]) -> Self;
    /// e for this pose, another, and what was measured between them; its derivatives by the parameters of both, which
    /// have these values, with `Some`.
    fn error(
        &self,
        own: &[f64],
        other: &Self,
        others: &[f64],
        measured: &Self,
        derivatives: Option<(&mut Matrix<N>, &mut Matrix<N>)>,
    ) -> [f64; N];
    /// Whether these parameters are so far from the pose that they are relative to that they should begin anew.
    fn is_far(parameters: &[f64]) -> bool;
    /// The tag and the numbers of a vertex in g2o's format.
    fn vertex(&self) -> (&'static str, Vec<f64>);
    /// Its position and unit quaternion in space.
    fn rigid(&self) -> (Vector, [f64; 4]);
    /// The pose with these.
    fn from_rigid(position: Vector, rotation: [f64; 4]) -> Self;
    /// Where it is.
    fn position(&self) -> Vector {
        self.rigid().0
    }
}

pub type Matrix<const N: usize> = [[f64; N]; N];
pub type Vector = [f64; 3];

/// A pose in the plane: x, y, θ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane(pub [f64; 3]);

impl Pose<3> for Plane {
    const NUMBERS: usize = 3;
    const POSITION: usize = 2;

    fn read(numbers: &[f64]) -> Result<Self, String> {
        Ok(Plane([numbers[0], numbers[1], numbers[2]]))
    }
    fn parameters(&self) -> [f64; 3] {
        self.0
    }
    fn at(&self, parameters: &[f64]) -> Self {
        Plane([parameters[0], parameters[1], parameters[2]])
    }
    fn error(
        &self,
        _: &[f64],
        other: &Self,
        _: &[f64],
        measured: &Self,
        derivatives: Option<(&mut Matrix<3>, &mut Matrix<3>)>,
    ) -> [f64; 3] {
        let (Plane([xi, yi, ai]), Plane([xj, yj, aj]), Plane([xm, ym, am])) = (*self, *other, *measured);
        let (dx, dy) = (xj - xi, yj - yi);
        // Both turns at once: R_mᵀ R_iᵀ.
        let (s, c) = (ai + am).sin_cos();
        let (sm, cm) = am.sin_cos();
        if let Some((by_own, by_other)) = derivatives {
            *by_own = [[-c, -s, -s * dx + c * dy], [s, -c, -c * dx - s * dy], [0.0, 0.0, -1.0]];
            *by_other = [[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]];
        }
        let angle = aj - ai - am;
        let turns = (angle / std::f64::consts::TAU).round();
        [
            c * dx + s * dy - cm * xm - sm * ym,
            -s * dx + c * dy + sm * xm - cm * ym,
            angle - turns * std::f64::consts::TAU,
        ]
    }
    fn is_far(_: &[f64]) -> bool {
        false
    }
    fn vertex(&self) -> (&'static str, Vec<f64>) {
        ("VERTEX_SE2", self.0.to_vec())
    }
    fn rigid(&self) -> (Vector, [f64; 4]) {
        let (sin, cos) = (0.5 * self.0[2]).sin_cos();
        ([self.0[0], self.0[1], 0.0], [0.0, 0.0, sin, cos])
    }
    fn from_rigid(position: Vector, rotation: [f64; 4]) -> Self {
        Plane([position[0], position[1], 2.0 * rotation[2].atan2(rotation[3])])
    }
}

/// A pose in space: a position and a unit quaternion (x, y, z, w).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Space {
    pub position: Vector,
    pub rotation: [f64; 4],
}

impl Pose<6> for Space {
    const NUMBERS: usize = 7;
    const POSITION: usize = 3;

    fn read(numbers: &[f64]) -> Result<Self, String> {
        let q: [f64; 4] = std::array::from_fn(|i| numbers[3 + i]);
        let norm = q.iter().map(|q| q * q).sum::<f64>().sqrt();
        if !(norm > 0.9 && norm < 1.1) {
            return Err(format!("the quaternion has length {norm}, not 1"));
        }
        Ok(Space { position: [numbers[0], numbers[1], numbers[2]], rotation: q.map(|q| q / norm) })
    }
    fn parameters(&self) -> [f64; 6] {
        let [x, y, z] = self.position;
        [x, y, z, 0.0, 0.0, 0.0]
    }
    fn at(&self, parameters: &[f64]) -> Self {
        let w = [parameters[3], parameters[4], parameters[5]];
        let position = [parameters[0], parameters[1], parameters[2]];
        Space { position, rotation: product(self.rotation, exponential(w)) }
    }
    fn error(
        &self,
        own: &[f64],
        other: &Self,
        others: &[f64],
        measured: &Self,
        derivatives: Option<(&mut Matrix<6>, &mut Matrix<6>)>,
    ) -> [f64; 6] {
        let (own_inverse, measured_inverse) = (conjugate(self.rotation), conjugate(measured.rotation));
        let between = rotate(own_inverse, minus(other.position, self.position));
        let translation = rotate(measured_inverse, minus(between, measured.position));
        let mut turn = product(measured_inverse, product(own_inverse, other.rotation));
        if turn[3] < 0.0 {
            turn = turn.map(|t| -t);
        }
        let [x, y, z, w] = turn;
        if let Some((by_own, by_other)) = derivatives {
            let to_edge = transpose(matrix(measured.rotation)); // R_mᵀ
            let to_both = times(to_edge, transpose(matrix(self.rotation))); // R_mᵀ R_iᵀ
            let (own_turn, other_turn) =
                (right_jacobian([own[3], own[4], own[5]]), right_jacobian([others[3], others[4], others[5]]));
            let v = cross([x, y, z]);
            let plus = times(add_scaled_identity(v, 1.0, w), other_turn);
            let less = times(times(add_scaled_identity(v, -1.0, w), to_edge), own_turn);
            let lever = times(times(to_edge, cross(between)), own_turn);
            for i in 0..3 {
                for j in 0..3 {
                    by_own[i][j] = -to_both[i][j];
                    by_own[i][3 + j] = lever[i][j];
                    by_own[3 + i][j] = 0.0;
                    by_own[3 + i][3 + j] = -less[i][j];
                    by_other[i][j] = to_both[i][j];
                    by_other[i][3 + j] = 0.0;
                    by_other[3 + i][j] = 0.0;
                    by_other[3 + i][3 + j] = plus[i][j];
                }
            }
        }
        [translation[0], translation[1], translation[2], 2.0 * x, 2.0 * y, 2.0 * z]
    }
    fn is_far(parameters: &[f64]) -> bool {
        parameters[3..].iter().map(|w| w * w).sum::<f64>() > std::f64::consts::PI.powi(2)
    }
    fn vertex(&self) -> (&'static str, Vec<f64>) {
        ("VERTEX_SE3:QUAT", self.position.iter().chain(&self.rotation).copied().collect())
    }
    fn rigid(&self) -> (Vector, [f64; 4]) {
        (self.position, self.rotation)
    }
    fn from_rigid(position: Vector, rotation: [f64; 4]) -> Self {
        Space { position, rotation }
    }
}

fn minus(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|i| a[i] - b[i])
}

/// The Hamilton product, real part last.
fn product(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    let ([ax, ay, az, aw], [bx, by, bz, bw]) = (a, b);
    [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ]
}

fn conjugate([x, y, z, w]: [f64; 4]) -> [f64; 4] {
    [-x, -y, -z, w]
}

fn rotate(q: [f64; 4], v: Vector) -> Vector {
    let [x, y, z, _] = product(product(q, [v[0], v[1], v[2], 0.0]), conjugate(q));
    [x, y, z]
}

/// The unit quaternion of exp([w]×).
fn exponential(w: Vector) -> [f64; 4] {
    let half = 0.5 * w.iter().map(|w| w * w).sum::<f64>().sqrt();
    let scale = if half < 1e-4 { 0.5 - half * half / 12.0 } else { 0.5 * half.sin() / half };
    [scale * w[0], scale * w[1], scale * w[2], half.cos()]
}

/// J_r(w) = I − (1 − cos θ)/θ² [w]× + (θ − sin θ)/θ³ [w]×², θ = ‖w‖.
fn right_jacobian(w: Vector) -> Matrix<3> {
    let square = w.iter().map(|w| w * w).sum::<f64>();
    let angle = square.sqrt();
    let (a, b) = if angle < 1e-3 {
        (0.5 - square / 24.0, 1.0 / 6.0 - square / 120.0)
    } else {
        ((1.0 - angle.cos()) / square, (angle - angle.sin()) / (square * angle))
    };
    let (k, k2) = (cross(w), times(cross(w), cross(w)));
    std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j)) - a * k[i][j] + b * k2[i][j]))
}

/// [v]×, the matrix of u ↦ v × u.
fn cross([x, y, z]: Vector) -> Matrix<3> {
    [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]
}

/// The rotation matrix of a unit quaternion.
pub fn matrix(q: [f64; 4]) -> Matrix<3> {
    let columns = [rotate(q, [1.0, 0.0, 0.0]), rotate(q, [0.0, 1.0, 0.0]), rotate(q, [0.0, 0.0, 1.0])];
    transpose(columns)
}

/// The unit quaternion q of the rotation nearest to A in the Frobenius norm: it maximises tr(R(q)ᵀA) = qᵀKq, the largest
/// eigenvector of a symmetric 4 × 4 matrix (Davenport's; Horn, J. Opt. Soc. Am. A 4 (1987), section 4).
pub fn nearest_rotation(a: &Matrix<3>) -> [f64; 4] {
    let trace = a[0][0] + a[1][1] + a[2][2];
    let vector = [a[2][1] - a[1][2], a[0][2] - a[2][0], a[1][0] - a[0][1]];
    let k = faer::Mat::from_fn(4, 4, |i, j| match (i, j) {
        (3, 3) => trace,
        (3, i) | (i, 3) => vector[i],
        _ => a[i][j] + a[j][i] - if i == j { trace } else { 0.0 },
    });
    match k.self_adjoint_eigen(faer::Side::Lower) {
        Ok(eigen) => std::array::from_fn(|i| eigen.U()[(i, 3)]),
        Err(_) => [0.0, 0.0, 0.0, 1.0],
    }
}

pub fn transpose(a: Matrix<3>) -> Matrix<3> {
    std::array::from_fn(|i| std::array::from_fn(|j| a[j][i]))
}

pub fn times(a: Matrix<3>, b: Matrix<3>) -> Matrix<3> {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

/// αA + βI.
fn add_scaled_identity(a: Matrix<3>, alpha: f64, beta: f64) -> Matrix<3> {
    std::array::from_fn(|i| std::array::from_fn(|j| alpha * a[i][j] + if i == j { beta } else { 0.0 }))
}
