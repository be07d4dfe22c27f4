// The error function, which JavaScript lacks, in double precision: W. J. Cody, "Rational Chebyshev approximations for
// the error function", Math. Comp. 23 (1969), 631-637. |x| <= 0.5: x A(x²)/B(x²); beyond: 1 - exp(-x²) C(|x|)/D(|x|).
const A = [1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
  3.20937758913846947e3];
const B = [1, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3];
const C = [2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
  2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3];
const D = [1, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
  3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3];

export function erf(x) {
  const size = Math.min(Math.abs(x), 6), square = size * size;
  const value = size <= 0.5 ? size * polynomial(square, A) / polynomial(square, B)
    : 1 - Math.exp(-square) * polynomial(size, C) / polynomial(size, D);
  return x < 0 ? -value : value;
}

function polynomial(x, coefficients) {                       // Horner's scheme, highest power first
  let y = 0;
  for (let i = 0; i < coefficients.length; i++) y = y * x + coefficients[i];
  return y;
}
