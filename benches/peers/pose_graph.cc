// Pose graphs by Ceres, for comparison with examples/pose_graph.
//
//   pose_graph FILE [threads=2] [iterations=200] [tolerance=1e-9]
//
// FILE is in g2o's format: poses of the plane (x, y, angle) or of space (a position and a quaternion on its manifold). The
// errors are those of examples/pose_graph/geometry.rs, times the Cholesky factor of the information; derivatives are
// automatic; the first pose is constant. Sparse Cholesky factors of the normal equations. One line of JSON.
#include <ceres/ceres.h>

#include <Eigen/Cholesky>
#include <Eigen/Geometry>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

template <class T>
Eigen::Matrix<T, 2, 2> Rotation(const T& angle) {
  Eigen::Matrix<T, 2, 2> r;
  r << cos(angle), -sin(angle), sin(angle), cos(angle);
  return r;
}

struct PlaneError {
  std::array<double, 3> measured;
  Eigen::Matrix3d root;
  template <class T>
  bool operator()(const T* from, const T* to, T* out) const {
    using Vector2 = Eigen::Matrix<T, 2, 1>;
    const Vector2 between = Rotation(from[2]).transpose() * Vector2(to[0] - from[0], to[1] - from[1]);
    const Vector2 rest = between - Vector2(T(measured[0]), T(measured[1]));
    const Vector2 translation = Rotation(T(measured[2])).transpose() * rest;
    T angle = to[2] - from[2] - measured[2];
    angle -= 2.0 * M_PI * floor((angle + M_PI) / (2.0 * M_PI));
    Eigen::Map<Eigen::Matrix<T, 3, 1>> residual(out);
    residual = root.template cast<T>() * Eigen::Matrix<T, 3, 1>(translation[0], translation[1], angle);
    return true;
  }
};

struct SpaceError {
  Eigen::Vector3d position;
  Eigen::Quaterniond rotation;
  Eigen::Matrix<double, 6, 6> root;
  template <class T>
  bool operator()(const T* from, const T* from_turn, const T* to, const T* to_turn, T* out) const {
    using Vector3 = Eigen::Matrix<T, 3, 1>;
    const Eigen::Map<const Vector3> a(from), b(to);
    const Eigen::Map<const Eigen::Quaternion<T>> turn_a(from_turn), turn_b(to_turn);
    const Eigen::Quaternion<T> back = rotation.conjugate().template cast<T>();
    Eigen::Quaternion<T> turn = back * (turn_a.conjugate() * turn_b);
    if (turn.w() < T(0.0)) turn.coeffs() = -turn.coeffs();
    Eigen::Matrix<T, 6, 1> error;
    error.template head<3>() = back * (turn_a.conjugate() * (b - a) - position.template cast<T>());
    error.template tail<3>() = T(2.0) * turn.vec();
    Eigen::Map<Eigen::Matrix<T, 6, 1>> residual(out);
    residual = root.template cast<T>() * error;
    return true;
  }
};

// The upper triangle by rows becomes the U of information = UᵀU.
template <int N>
Eigen::Matrix<double, N, N> Root(std::istream& in) {
  Eigen::Matrix<double, N, N> information;
  for (int i = 0; i < N; ++i)
    for (int j = i; j < N; ++j) in >> information(i, j), information(j, i) = information(i, j);
  return information.llt().matrixU();
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  google::InitGoogleLogging(argv[0]);
  FLAGS_minloglevel = 2;
  std::ifstream file(argv[1]);
  if (!file) return 1;
  std::map<int, std::array<double, 7>> poses;
  ceres::Problem problem;
  auto* quaternion = new ceres::EigenQuaternionManifold;
  bool space = false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string tag;
    int id, to;
    in >> tag >> id;
    if (tag == "VERTEX_SE2" || tag == "VERTEX_SE3:QUAT") {
      space = tag == "VERTEX_SE3:QUAT";
      auto& pose = poses[id];
      for (int i = 0; i < (space ? 7 : 3); ++i) in >> pose[i];
      if (space) Eigen::Map<Eigen::Quaterniond>(&pose[3]).normalize();
    } else if (tag == "EDGE_SE2") {
      auto* error = new PlaneError;
      in >> to;
      for (double& v : error->measured) in >> v;
      error->root = Root<3>(in);
      problem.AddResidualBlock(new ceres::AutoDiffCostFunction<PlaneError, 3, 3, 3>(error), nullptr, poses[id].data(),
                               poses[to].data());
    } else if (tag == "EDGE_SE3:QUAT") {
      auto* error = new SpaceError;
      in >> to;
      for (int i = 0; i < 3; ++i) in >> error->position[i];
      for (int i = 0; i < 4; ++i) in >> error->rotation.coeffs()[i];
      error->rotation.normalize();
      error->root = Root<6>(in);
      double *a = poses[id].data(), *b = poses[to].data();
      problem.AddResidualBlock(new ceres::AutoDiffCostFunction<SpaceError, 6, 3, 4, 3, 4>(error), nullptr, a, a + 3, b,
                               b + 3);
      problem.SetManifold(a + 3, quaternion);
      problem.SetManifold(b + 3, quaternion);
    }
    if (in.fail()) return 1;
  }
  if (poses.empty()) return 1;
  problem.SetParameterBlockConstant(poses.begin()->second.data());
  if (space) problem.SetParameterBlockConstant(poses.begin()->second.data() + 3);

  ceres::Solver::Options options;
  options.num_threads = argc > 2 ? atoi(argv[2]) : 2;
  options.max_num_iterations = argc > 3 ? atoi(argv[3]) : 200;
  options.function_tolerance = argc > 4 ? atof(argv[4]) : 1e-9;
  options.gradient_tolerance = options.parameter_tolerance = 1e-16;
  options.linear_solver_type = ceres::SPARSE_NORMAL_CHOLESKY;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  ceres::Solve(options, &problem, &summary);
  printf(
      "{\"value\": %.12g, \"initial_value\": %.12g, \"chi_squared\": %.12g, \"iterations\": %zu, \"seconds\": %.4f, "
      "\"linear_seconds\": %.4f, \"termination\": \"%s\"}\n",
      summary.final_cost, summary.initial_cost, 2.0 * summary.final_cost, summary.iterations.size() - 1,
      summary.total_time_in_seconds, summary.linear_solver_time_in_seconds,
      ceres::TerminationTypeToString(summary.termination_type));
}
