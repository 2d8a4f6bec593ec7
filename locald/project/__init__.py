"""What a project runs: locald.toml, and what is used where there is none.

find        the project of a folder: the one way in
model       the tables of locald.toml as structs, and Project
read        the text of locald.toml -> these structs, or what is wrong with it
lines       on which line each key stands
guess       without locald.toml: package.json, manage.py, pyproject.toml
procfile    Procfile
worktree    the git worktree a folder is in, and its branch
hosts       which name each service has in its URL
order       in which order services start; cycles
changes     what another version of a project changes
prepare     a service at its start, with its .env files read: the way in to launch
launch      a service -> command, folder and environment
substitute  $PORT and ${services.NAME.url}
dotenv      .env files
files       reading what is anybody's
"""
