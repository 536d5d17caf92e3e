// Bundle adjustment by Ceres, for comparison with examples/bundle_adjustment.
//
//   bundle_adjustment FILE SOLVER [threads=2] [iterations=50] [tolerance=1e-6]
//
// FILE is in the format of "Bundle adjustment in the large"; SOLVER is iterative_schur (Schur-Jacobi), explicit_schur (the
// same on the formed matrix), sparse_schur, dense_schur or cgnr (Jacobi). No loss function; the start in the file. One
// line of JSON.
#include <ceres/ceres.h>
#include <ceres/rotation.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

struct Reprojection {
  double u, v;
  template <class T>
  bool operator()(const T* camera, const T* point, T* residual) const {
    T p[3];
    ceres::AngleAxisRotatePoint(camera, point, p);
    const T z = p[2] + camera[5];
    const T a = -(p[0] + camera[3]) / z, b = -(p[1] + camera[4]) / z, square = a * a + b * b;
    const T scale = camera[6] * (1.0 + square * (camera[7] + camera[8] * square));
    residual[0] = scale * a - u;
    residual[1] = scale * b - v;
    return true;
  }
};

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  google::InitGoogleLogging(argv[0]);
  FLAGS_minloglevel = 2;
  const std::string solver = argv[2];
  FILE* file = fopen(argv[1], "r");
  int cameras, points, count;
  if (!file || fscanf(file, "%d %d %d", &cameras, &points, &count) != 3) return 1;
  std::vector<int> camera(count), point(count);
  std::vector<double> seen(2 * count), x(9 * cameras + 3 * points);
  for (int i = 0; i < count; ++i)
    if (fscanf(file, "%d %d %lf %lf", &camera[i], &point[i], &seen[2 * i], &seen[2 * i + 1]) != 4) return 1;
  for (double& v : x)
    if (fscanf(file, "%lf", &v) != 1) return 1;
  fclose(file);

  ceres::Problem problem;
  double *first_camera = x.data(), *first_point = x.data() + 9 * cameras;
  for (int i = 0; i < count; ++i) {
    auto* cost = new ceres::AutoDiffCostFunction<Reprojection, 2, 9, 3>(new Reprojection{seen[2 * i], seen[2 * i + 1]});
    problem.AddResidualBlock(cost, nullptr, first_camera + 9 * camera[i], first_point + 3 * point[i]);
  }
  ceres::Solver::Options options;
  options.num_threads = argc > 3 ? atoi(argv[3]) : 2;
  options.max_num_iterations = argc > 4 ? atoi(argv[4]) : 50;
  options.function_tolerance = argc > 5 ? atof(argv[5]) : 1e-6;
  options.gradient_tolerance = options.parameter_tolerance = 1e-16;
  options.logging_type = ceres::SILENT;
  options.preconditioner_type = ceres::SCHUR_JACOBI;
  bool eliminates = true, inner = true;
  if (solver == "iterative_schur") {
    options.linear_solver_type = ceres::ITERATIVE_SCHUR;
  } else if (solver == "explicit_schur") {
    options.linear_solver_type = ceres::ITERATIVE_SCHUR;
    options.use_explicit_schur_complement = true;
  } else if (solver == "sparse_schur") {
    options.linear_solver_type = ceres::SPARSE_SCHUR;
    inner = false;
  } else if (solver == "dense_schur") {
    options.linear_solver_type = ceres::DENSE_SCHUR;
    inner = false;
  } else if (solver == "cgnr") {
    options.linear_solver_type = ceres::CGNR;
    options.preconditioner_type = ceres::JACOBI;
    eliminates = false;
  } else {
    return 2;
  }
  if (eliminates) {
    auto* ordering = new ceres::ParameterBlockOrdering;
    for (int i = 0; i < points; ++i) ordering->AddElementToGroup(first_point + 3 * i, 0);
    for (int i = 0; i < cameras; ++i) ordering->AddElementToGroup(first_camera + 9 * i, 1);
    options.linear_solver_ordering.reset(ordering);
  }
  ceres::Solver::Summary summary;
  ceres::Solve(options, &problem, &summary);
  int iterations = 0;
  for (const auto& iteration : summary.iterations) iterations += inner ? iteration.linear_solver_iterations : 0;
  printf(
      "{\"solver\": \"ceres %s\", \"value\": %.10g, \"iterations\": %zu, \"inner_iterations\": %d, \"seconds\": %.4f, "
      "\"linear_seconds\": %.4f, \"termination\": \"%s\"}\n",
      solver.c_str(), summary.final_cost, summary.iterations.size() - 1, iterations, summary.total_time_in_seconds,
      summary.linear_solver_time_in_seconds, ceres::TerminationTypeToString(summary.termination_type));
}
