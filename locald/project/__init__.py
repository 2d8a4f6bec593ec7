"""What a project runs: locald.toml, and what is used where there is none.

find        the project of a folder: the one way in
model       the tables of locald.toml as structs, and Project
read        the text of locald.toml -> these structs, or what is wrong with it
rules       what the types of one service do not say
lines       on which line each key stands
guess       what is used where there is no locald.toml
package     package.json
python      manage.py, and the Python frameworks of a folder
procfile    Procfile
worktree    the git worktree a folder is in, and its branch
hosts       which name each service has in its URL
order       in which order services start; cycles
changes     what another version of a project changes
prepare     a service at its start, with its .env files read: the way in to launch
launch      a service -> command, folder and environment
substitute  $PORT and ${services.NAME.url}
tools       dev servers that ignore PORT, and what makes them listen there
words       which program a command starts in the end
schema      the JSON Schema of locald.toml
write       a project -> the text of a locald.toml
create      locald init
dotenv      .env files
files       reading what is anybody's
"""
