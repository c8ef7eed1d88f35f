"""The paper's own flow, in the space of splat measures and by its own formulas (daniels2025splat): theory made code.

A splat is a particle of mass m_i = |v_i| (Euclidean norm in R^p) at (s_i, A_i, b_i). The direction s_i = v_i / m_i is a
sign if p = 1. Its first variation is eta_i = <s_i, g(A_i, b_i)>, per unit of mass. The energy falls along its gradient
in the Wasserstein-Fisher-Rao metric

    sum_i m_i (|ds_i|^2 + |dA_i|^2 + |db_i|^2) + dm_i^2 / m_i :

`transport` moves (s, A, b), `reaction` makes masses grow and shrink, `run` joins the two, and `langevin` adds entropy.
The flow that fits models is in `bayesplat.flow`; this one is what it can be checked against.
"""
