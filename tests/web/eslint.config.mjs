// Limits of the front end: the same as for Python, where tests/test_limits.py and ruff hold them.
export default [
  { ignores: ['web/docs/**', 'web/data/**'] },
  {
    files: ['**/*.js'],
    languageOptions: { ecmaVersion: 2022, sourceType: 'module' },
    rules: {
      complexity: ['error', 12],
      'max-lines': ['error', 400],
      'max-lines-per-function': ['error', 60],
      'no-unused-vars': 'error',
      'no-shadow': 'error',
      'no-var': 'error',
      'prefer-const': 'error'
    }
  }
]
