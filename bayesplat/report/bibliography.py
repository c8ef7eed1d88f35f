"""The references that reports cite, as BibTeX: they agree with docs/references.bib, which no installation has."""

BIBTEX = r"""
@misc{daniels2025splat,
  author        = {Daniels, Mara and Rigollet, Philippe},
  title         = {Splat Regression Models},
  year          = {2025},
  eprint        = {2511.14042},
  archiveprefix = {arXiv},
  note          = {ICLR 2026}
}

@article{delmoral2006,
  author  = {Del Moral, Pierre and Doucet, Arnaud and Jasra, Ajay},
  title   = {Sequential {Monte Carlo} samplers},
  journal = {Journal of the Royal Statistical Society: Series B},
  volume  = {68},
  number  = {3},
  pages   = {411--436},
  year    = {2006}
}

@article{hoffman2014,
  author  = {Hoffman, Matthew D. and Gelman, Andrew},
  title   = {The {No-U-Turn} sampler: adaptively setting path lengths in {Hamiltonian} {Monte} {Carlo}},
  journal = {Journal of Machine Learning Research},
  volume  = {15},
  pages   = {1593--1623},
  year    = {2014}
}

@article{ishwaran2001,
  author  = {Ishwaran, Hemant and James, Lancelot F.},
  title   = {Gibbs sampling methods for stick-breaking priors},
  journal = {Journal of the American Statistical Association},
  volume  = {96},
  number  = {453},
  pages   = {161--173},
  year    = {2001}
}

@article{kallioinen2024,
  author  = {Kallioinen, Noa and Paananen, Topi and B{\"u}rkner, Paul-Christian and Vehtari, Aki},
  title   = {Detecting and diagnosing prior and likelihood sensitivity with power-scaling},
  journal = {Statistics and Computing},
  volume  = {34},
  year    = {2024}
}

@article{kucukelbir2017,
  author  = {Kucukelbir, Alp and Tran, Dustin and Ranganath, Rajesh and Gelman, Andrew and Blei, David M.},
  title   = {Automatic differentiation variational inference},
  journal = {Journal of Machine Learning Research},
  volume  = {18},
  number  = {14},
  pages   = {1--45},
  year    = {2017}
}

@article{kumar2019,
  author  = {Kumar, Ravin and Carroll, Colin and Hartikainen, Ari and Martin, Osvaldo},
  title   = {{ArviZ}: a unified library for exploratory analysis of {Bayesian} models in {Python}},
  journal = {Journal of Open Source Software},
  volume  = {4},
  number  = {33},
  pages   = {1143},
  year    = {2019},
  doi     = {10.21105/joss.01143}
}

@article{lewandowski2009,
  author  = {Lewandowski, Daniel and Kurowicka, Dorota and Joe, Harry},
  title   = {Generating random correlation matrices based on vines and extended onion method},
  journal = {Journal of Multivariate Analysis},
  volume  = {100},
  number  = {9},
  pages   = {1989--2001},
  year    = {2009}
}

@inproceedings{petralia2012,
  author    = {Petralia, Francesca and Rao, Vinayak and Dunson, David B.},
  title     = {Repulsive mixtures},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {25},
  year      = {2012}
}

@misc{phan2019,
  author        = {Phan, Du and Pradhan, Neeraj and Jankowiak, Martin},
  title         = {Composable effects for flexible and accelerated probabilistic programming in {NumPyro}},
  year          = {2019},
  eprint        = {1912.11554},
  archiveprefix = {arXiv}
}

@article{piironen2017,
  author  = {Piironen, Juho and Vehtari, Aki},
  title   = {Sparsity information and regularization in the horseshoe and other shrinkage priors},
  journal = {Electronic Journal of Statistics},
  volume  = {11},
  number  = {2},
  pages   = {5018--5051},
  year    = {2017}
}

@article{tierney1986,
  author  = {Tierney, Luke and Kadane, Joseph B.},
  title   = {Accurate approximations for posterior moments and marginal densities},
  journal = {Journal of the American Statistical Association},
  volume  = {81},
  number  = {393},
  pages   = {82--86},
  year    = {1986}
}

@techreport{tjelmeland2004,
  author      = {Tjelmeland, H{\aa}kon},
  title       = {Using all {Metropolis}--{Hastings} proposals to estimate mean values},
  institution = {Norwegian University of Science and Technology},
  number      = {Statistics 4/2004},
  year        = {2004}
}

@article{vehtari2017,
  author  = {Vehtari, Aki and Gelman, Andrew and Gabry, Jonah},
  title   = {Practical {Bayesian} model evaluation using leave-one-out cross-validation and {WAIC}},
  journal = {Statistics and Computing},
  volume  = {27},
  number  = {5},
  pages   = {1413--1432},
  year    = {2017}
}

@article{vehtari2021,
  author  = {Vehtari, Aki and Gelman, Andrew and Simpson, Daniel and Carpenter, Bob and B{\"u}rkner, Paul-Christian},
  title   = {Rank-normalization, folding, and localization: an improved {$\widehat{R}$} for assessing convergence of
             {MCMC} (with discussion)},
  journal = {Bayesian Analysis},
  volume  = {16},
  number  = {2},
  pages   = {667--718},
  year    = {2021}
}

@article{vehtari2024,
  author  = {Vehtari, Aki and Simpson, Daniel and Gelman, Andrew and Yao, Yuling and Gabry, Jonah},
  title   = {Pareto smoothed importance sampling},
  journal = {Journal of Machine Learning Research},
  volume  = {25},
  number  = {72},
  pages   = {1--58},
  year    = {2024}
}

@article{yao2022,
  author  = {Yao, Yuling and Vehtari, Aki and Gelman, Andrew},
  title   = {Stacking for non-mixing {Bayesian} computations: the curse and blessing of multimodal posteriors},
  journal = {Journal of Machine Learning Research},
  volume  = {23},
  number  = {79},
  pages   = {1--45},
  year    = {2022}
}

@article{yu2011,
  author  = {Yu, Yaming and Meng, Xiao-Li},
  title   = {To center or not to center: that is not the question---an ancillarity-sufficiency interweaving strategy
             ({ASIS}) for boosting {MCMC} efficiency},
  journal = {Journal of Computational and Graphical Statistics},
  volume  = {20},
  number  = {3},
  pages   = {531--570},
  year    = {2011}
}

@article{zhang2022,
  author  = {Zhang, Yan Dora and Naughton, Brian P. and Bondell, Howard D. and Reich, Brian J.},
  title   = {{Bayesian} regression using a prior on the model fit: the {R2-D2} shrinkage prior},
  journal = {Journal of the American Statistical Association},
  volume  = {117},
  number  = {538},
  pages   = {862--874},
  year    = {2022}
}
"""
