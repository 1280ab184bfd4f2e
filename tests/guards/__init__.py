"""Guards: rules about the whole tree (routes, migrations, data files, vocabulary, density) that reviewers overlook."""
