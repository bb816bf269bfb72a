"""The distributions on top, one a file. Adding one is a file and a line here."""
# ruff: noqa: I001 - in the order of the command line's choices

from models.likelihoods.base import LEVELS, LIKELIHOODS, Likelihood
from models.likelihoods.bernoulli import Bernoulli
from models.likelihoods.gaussian import Gaussian
from models.likelihoods.categorical import Categorical
from models.likelihoods.logistic_mixture import LogisticMixture
from models.likelihoods.grey import Grey

__all__ = ["LEVELS", "LIKELIHOODS", "Bernoulli", "Categorical", "Gaussian", "Grey", "Likelihood", "LogisticMixture"]
