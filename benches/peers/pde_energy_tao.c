/* The Ginzburg-Landau energy of examples/mpi in PETSc's TAO: the same slabs, sums and callbacks, Hessian products by a
 * shell matrix. Prints one line of JSON; TAO's options are taken from the command line. */
#include <petscdmda.h>
#include <petsctao.h>

typedef struct {
    DM grid;
    Vec u, source;
    PetscReal h, coupling;
    PetscInt values, products;
} Energy;

/* out = the stiffness times v, h(6v - its neighbours). */
static PetscErrorCode Stiffness(Energy *energy, Vec v, Vec out) {
    PetscInt x, y, z, nx, ny, nz;
    PetscScalar ***a, ***b;
    Vec local;
    PetscFunctionBeginUser;
    PetscCall(DMGetLocalVector(energy->grid, &local));
    PetscCall(DMGlobalToLocal(energy->grid, v, INSERT_VALUES, local));
    PetscCall(DMDAVecGetArrayRead(energy->grid, local, &a));
    PetscCall(DMDAVecGetArray(energy->grid, out, &b));
    PetscCall(DMDAGetCorners(energy->grid, &x, &y, &z, &nx, &ny, &nz));
    for (PetscInt k = z; k < z + nz; k++) {
        for (PetscInt j = y; j < y + ny; j++) {
            const PetscScalar *restrict here = a[k][j], *restrict south = a[k][j - 1], *restrict north = a[k][j + 1];
            const PetscScalar *restrict below = a[k - 1][j], *restrict above = a[k + 1][j];
            PetscScalar *restrict row = b[k][j];
            for (PetscInt i = x; i < x + nx; i++) {
                row[i] = energy->h * (6.0 * here[i] - (south[i] + north[i]) - (below[i] + above[i]) -
                                      (here[i - 1] + here[i + 1]));
            }
        }
    }
    PetscCall(DMDAVecRestoreArray(energy->grid, out, &b));
    PetscCall(DMDAVecRestoreArrayRead(energy->grid, local, &a));
    PetscCall(DMRestoreLocalVector(energy->grid, &local));
    PetscFunctionReturn(0);
}

static PetscErrorCode ValueAndGradient(Tao tao, Vec x, PetscReal *value, Vec gradient, void *context) {
    Energy *energy = context;
    PetscInt n;
    PetscReal volume = energy->h * energy->h * energy->h, sum = 0.0;
    const PetscScalar *u, *f;
    PetscScalar *g;
    PetscFunctionBeginUser;
    energy->values++;
    PetscCall(Stiffness(energy, x, gradient));
    PetscCall(VecGetLocalSize(x, &n));
    PetscCall(VecGetArrayRead(x, &u));
    PetscCall(VecGetArrayRead(energy->source, &f));
    PetscCall(VecGetArray(gradient, &g));
    for (PetscInt i = 0; i < n; i++) {
        PetscReal well = u[i] * u[i] - 1.0;
        sum += 0.5 * u[i] * g[i] + volume * (0.25 * energy->coupling * well * well - f[i] * u[i]);
        g[i] += volume * (energy->coupling * well * u[i] - f[i]);
    }
    PetscCall(VecRestoreArray(gradient, &g));
    PetscCall(VecRestoreArrayRead(energy->source, &f));
    PetscCall(VecRestoreArrayRead(x, &u));
    PetscCallMPI(MPI_Allreduce(&sum, value, 1, MPIU_REAL, MPI_SUM, PETSC_COMM_WORLD));
    PetscFunctionReturn(0);
}

static PetscErrorCode Product(Mat hessian, Vec v, Vec out) {
    Energy *energy;
    PetscInt n;
    const PetscScalar *u, *a;
    PetscScalar *b;
    PetscFunctionBeginUser;
    PetscCall(MatShellGetContext(hessian, &energy));
    energy->products++;
    PetscCall(Stiffness(energy, v, out));
    PetscReal weight = energy->coupling * energy->h * energy->h * energy->h;
    PetscCall(VecGetLocalSize(v, &n));
    PetscCall(VecGetArrayRead(energy->u, &u));
    PetscCall(VecGetArrayRead(v, &a));
    PetscCall(VecGetArray(out, &b));
    for (PetscInt i = 0; i < n; i++) b[i] += weight * (3.0 * u[i] * u[i] - 1.0) * a[i];
    PetscCall(VecRestoreArray(out, &b));
    PetscCall(VecRestoreArrayRead(v, &a));
    PetscCall(VecRestoreArrayRead(energy->u, &u));
    PetscFunctionReturn(0);
}

static PetscErrorCode Hessian(Tao tao, Vec x, Mat hessian, Mat preconditioner, void *context) {
    PetscFunctionBeginUser;
    PetscCall(VecCopy(x, ((Energy *)context)->u));
    PetscFunctionReturn(0);
}

int main(int argc, char **argv) {
    Energy energy = {.coupling = 20.0};
    PetscInt points = 40, x, y, z, nx, ny, nz, iterations;
    PetscReal tolerance = 1e-6, value, norm;
    PetscScalar ***f;
    PetscMPIInt ranks, rank;
    PetscLogDouble start, end;
    Tao tao;
    TaoConvergedReason reason;
    Mat hessian;
    Vec solution;
    PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
    PetscCallMPI(MPI_Comm_size(PETSC_COMM_WORLD, &ranks));
    PetscCallMPI(MPI_Comm_rank(PETSC_COMM_WORLD, &rank));
    PetscCall(PetscOptionsGetInt(NULL, NULL, "-points", &points, NULL));
    PetscCall(PetscOptionsGetReal(NULL, NULL, "-coupling", &energy.coupling, NULL));
    PetscCall(PetscOptionsGetReal(NULL, NULL, "-tolerance", &tolerance, NULL));
    energy.h = 1.0 / (points + 1.0);
    DMBoundaryType ghosts = DM_BOUNDARY_GHOSTED; /* zeros outside */
    PetscCall(DMDACreate3d(PETSC_COMM_WORLD, ghosts, ghosts, ghosts, DMDA_STENCIL_STAR, points, points, points, 1, 1,
                           ranks, 1, 1, NULL, NULL, NULL, &energy.grid));
    PetscCall(DMSetUp(energy.grid));
    PetscCall(DMCreateGlobalVector(energy.grid, &solution));
    PetscCall(VecDuplicate(solution, &energy.u));
    PetscCall(VecDuplicate(solution, &energy.source));
    PetscCall(DMDAGetCorners(energy.grid, &x, &y, &z, &nx, &ny, &nz));
    PetscCall(DMDAVecGetArray(energy.grid, energy.source, &f));
    for (PetscInt k = z; k < z + nz; k++)
        for (PetscInt j = y; j < y + ny; j++)
            for (PetscInt i = x; i < x + nx; i++) {
                PetscReal p = (i + 1) * energy.h, q = (j + 1) * energy.h, r = (k + 1) * energy.h;
                f[k][j][i] = 60.0 * PetscSinReal(3.0 * p) * PetscCosReal(5.0 * q + 1.0) * (1.0 + r * r) + 10.0 * r;
            }
    PetscCall(DMDAVecRestoreArray(energy.grid, energy.source, &f));
    PetscCall(VecGetLocalSize(solution, &nx));
    PetscCall(MatCreateShell(PETSC_COMM_WORLD, nx, nx, PETSC_DETERMINE, PETSC_DETERMINE, &energy, &hessian));
    PetscCall(MatShellSetOperation(hessian, MATOP_MULT, (void (*)(void))Product));
    PetscCall(MatSetOption(hessian, MAT_SYMMETRIC, PETSC_TRUE));
    PetscCall(TaoCreate(PETSC_COMM_WORLD, &tao));
    PetscCall(TaoSetType(tao, TAONTR));
    PetscCall(TaoSetSolution(tao, solution));
    PetscCall(TaoSetObjectiveAndGradient(tao, NULL, ValueAndGradient, &energy));
    PetscCall(TaoSetHessian(tao, hessian, hessian, Hessian, &energy));
    PetscCall(TaoSetTolerances(tao, 0.0, 0.0, tolerance));
    PetscCall(TaoSetFromOptions(tao));
    PetscCallMPI(MPI_Barrier(PETSC_COMM_WORLD));
    PetscCall(PetscTime(&start));
    PetscCall(TaoSolve(tao));
    PetscCall(PetscTime(&end));
    PetscCall(TaoGetSolutionStatus(tao, &iterations, &value, &norm, NULL, NULL, &reason));
    if (!rank)
        printf("{\"value\":%.15e,\"gradient_norm\":%.6e,\"values\":%d,\"products\":%d,\"iterations\":%d,"
               "\"termination\":\"%s\",\"seconds\":%.6f}\n",
               value, norm, (int)energy.values, (int)energy.products, (int)iterations, TaoConvergedReasons[reason],
               end - start);
    PetscCall(TaoDestroy(&tao));
    PetscCall(MatDestroy(&hessian));
    PetscCall(VecDestroy(&solution));
    PetscCall(VecDestroy(&energy.u));
    PetscCall(VecDestroy(&energy.source));
    PetscCall(DMDestroy(&energy.grid));
    return PetscFinalize();
}
